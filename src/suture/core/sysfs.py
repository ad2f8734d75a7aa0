# SPDX-License-Identifier: GPL-2.0-or-later
"""The live patches that the running kernel has, as ``/sys/kernel/livepatch`` shows them.

``Documentation/ABI/testing/sysfs-kernel-livepatch``.  Attributes came over time, so each is asked
for: `replace` is there since Linux 6.11, `stack_order` since 6.14, an object's `patched` since
6.1.  A patch that goes while it is read is left out.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from suture.core.running import ROOT, text

DIRECTORY = "sys/kernel/livepatch"

_FUNCTION = re.compile(
    r"(.+),([0-9]{1,10})"
)  # kernel/livepatch/core.c: klp_init_object_loaded(), "%s,%lu"


@dataclass(frozen=True, slots=True)
class LoadedFunction:
    """A replaced function.  :ivar sympos: what was found, so 1 where the patch said 0
    (``klp_init_func()``)."""

    name: str
    sympos: int


@dataclass(frozen=True, slots=True)
class LoadedObject:
    """What one patch replaces in ``vmlinux`` or a module.  :ivar patched: None where the kernel
    does not say."""

    name: str
    patched: bool | None
    functions: tuple[LoadedFunction, ...]


@dataclass(frozen=True, slots=True)
class LoadedPatch:
    """A live patch that the core knows.

    :ivar enabled: whether tasks run its code, or are moving there; with `transition`, where they
        are moving to.
    :ivar transition: tasks are moving still.
    :ivar replace: whether it took the place of all before it; None where the kernel does not say.
    :ivar stack_order: from 1 for the first that was enabled; None where the kernel does not say.
    """

    name: str
    enabled: bool
    transition: bool
    replace: bool | None
    stack_order: int | None
    objects: tuple[LoadedObject, ...]

    @property
    def functions(self) -> frozenset[tuple[str, str]]:
        """(object, function) for all that it replaces."""
        return frozenset(
            (item.name, function.name) for item in self.objects for function in item.functions
        )


def patches(root: Path = ROOT) -> tuple[LoadedPatch, ...]:
    """All of them, first enabled first."""
    try:
        names = sorted(entry.name for entry in (root / DIRECTORY).iterdir() if entry.is_dir())
    except OSError:
        return ()
    found = [patch for name in names if (patch := read(name, root)) is not None]
    loaded = _in_order_of_loading(root)
    # A live patch is enabled while its module is being loaded, so that the order is the same.
    return tuple(
        sorted(found, key=lambda patch: (patch.stack_order or 0, loaded.get(patch.name, 0)))
    )


def read(name: str, root: Path = ROOT) -> LoadedPatch | None:
    """One live patch; None where the kernel has none of that name."""
    directory = root / DIRECTORY / name
    try:
        found = [_object(entry) for entry in sorted(directory.iterdir()) if entry.is_dir()]
    except OSError:
        return None
    state = flags(name, root)
    if state is None:
        return None
    order = text(directory / "stack_order")
    objects = tuple(item for item in found if item is not None)
    return LoadedPatch(
        name, *state, _flag(directory / "replace"), int(order) if order.isdigit() else None, objects
    )


def flags(name: str, root: Path = ROOT) -> tuple[bool, bool] | None:
    """A patch's `enabled` and `transition`; None where the kernel has none of that name."""
    directory = root / DIRECTORY / name
    enabled, transition = _flag(directory / "enabled"), _flag(directory / "transition")
    return None if enabled is None or transition is None else (enabled, transition)


def in_transition(root: Path = ROOT) -> LoadedPatch | None:
    """The patch that tasks are moving to or from; the core has one at a time
    (``klp_transition_patch``)."""
    return next((patch for patch in patches(root) if patch.transition), None)


def set_enabled(name: str, enabled: bool, root: Path = ROOT) -> None:
    """Begin to take a patch out, or reverse the transition it is in (``enabled_store()``).

    :raises OSError: the patch is gone, or is in that state already
    """
    _write(root / DIRECTORY / name / "enabled", "1" if enabled else "0")


def force(name: str, root: Path = ROOT) -> None:
    """Declare the transition over for all tasks (``force_store()``).  :raises OSError: it is not in
    transition"""
    _write(root / DIRECTORY / name / "force", "1")


def _write(path: Path, value: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def _object(directory: Path) -> LoadedObject | None:
    """None where it has gone: a patch in force loses its nops' objects when the transition ends,
    and goes on (``kernel/livepatch/core.c: klp_discard_nops()``)."""
    try:
        functions = [
            _FUNCTION.fullmatch(entry.name)
            for entry in sorted(directory.iterdir())
            if entry.is_dir()
        ]
    except OSError:
        return None
    return LoadedObject(
        directory.name,
        _flag(directory / "patched"),
        tuple(LoadedFunction(match[1], int(match[2])) for match in functions if match),
    )


def _flag(path: Path) -> bool | None:
    return {"0": False, "1": True}.get(text(path))


def _in_order_of_loading(root: Path) -> dict[str, int]:
    """Module -> a number that grows; ``/proc/modules`` has the last one first
    (``kernel/module/main.c: modules``)."""
    lines = text(root / "proc/modules").splitlines()
    return {
        line.split(maxsplit=1)[0]: number for number, line in enumerate(reversed(lines)) if line
    }
