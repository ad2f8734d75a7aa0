# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's own livepatch core, as ``/sys/kernel/livepatch`` shows it.

``Documentation/ABI/testing/sysfs-kernel-livepatch``.  Attributes came over time, so each is asked
for: `replace` is there since Linux 6.11, `stack_order` since 6.14, an object's `patched` since
6.1.  A patch that goes while it is read is left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from suture.core.patches import LoadedFunction, LoadedObject, LoadedPatch
from suture.core.running import ROOT, text
from suture.core.tasks import UNREADABLE, directories

DIRECTORY = "sys/kernel/livepatch"

_FUNCTION = re.compile(
    r"(.+),([0-9]{1,10})"
)  # kernel/livepatch/core.c: klp_init_object_loaded(), "%s,%lu"


class LivepatchCore:
    """A `suture.core.patches.Core`.

    :param root: the directory that holds ``/proc`` and ``/sys``.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._directory = root / DIRECTORY

    @property
    def is_available(self) -> bool:
        """``CONFIG_LIVEPATCH``: the directory is there from boot on (``kernel/livepatch/core.c:
        klp_init()``)."""
        return self._directory.is_dir()

    def patches(self) -> tuple[LoadedPatch, ...]:
        """All live patches, first enabled first."""
        try:
            names = sorted(entry.name for entry in self._directory.iterdir() if entry.is_dir())
        except OSError:
            return ()
        found = [patch for name in names if (patch := self.read(name)) is not None]
        loaded = _in_order_of_loading(self._root)
        # A live patch is enabled while its module is being loaded, so that the order is the same.
        return tuple(
            sorted(found, key=lambda patch: (patch.stack_order or 0, loaded.get(patch.name, 0)))
        )

    def read(self, name: str) -> LoadedPatch | None:
        """One live patch; None where the kernel has none of that name."""
        directory = self._directory / name
        try:
            found = [_object(entry) for entry in sorted(directory.iterdir()) if entry.is_dir()]
        except OSError:
            return None
        state = self.flags(name)
        if state is None:
            return None
        order = text(directory / "stack_order")
        return LoadedPatch(
            name,
            *state,
            _flag(directory / "replace"),
            int(order) if order.isdigit() else None,
            tuple(item for item in found if item is not None),
        )

    def flags(self, name: str) -> tuple[bool, bool] | None:
        """A patch's `enabled` and `transition`; None where the kernel has none of that name."""
        directory = self._directory / name
        enabled, transition = _flag(directory / "enabled"), _flag(directory / "transition")
        return None if enabled is None or transition is None else (enabled, transition)

    def in_transition(self) -> LoadedPatch | None:
        """The patch that tasks are moving to or from; the core has one at a time
        (``klp_transition_patch``)."""
        return next((patch for patch in self.patches() if patch.transition), None)

    def has(self, name: str) -> bool:
        """Whether a live patch's directory is there."""
        return (self._directory / name).exists()

    def set_enabled(self, name: str, enabled: bool) -> None:
        """Begin to take a patch out, or reverse the transition it is in (``enabled_store()``).

        :raises OSError: the patch is gone, or is in that state already
        """
        _write(self._directory / name / "enabled", "1" if enabled else "0")

    def force(self, name: str) -> None:
        """Declare the transition over for all tasks (``force_store()``).

        :raises OSError: the patch is not in transition
        """
        _write(self._directory / name / "force", "1")

    def signal(self, name: str) -> bool:
        """Signal the tasks that a transition waits for.

        The attribute is there from Linux 4.15 to 5.0; later kernels signal by themselves.
        """
        attribute = self._directory / name / "signal"
        if not attribute.exists():
            return False
        attribute.write_text("1")
        return True

    def task_states(self) -> Iterator[tuple[Path, str]]:
        """Yield each task's directory and what its ``patch_state`` says.

        It is -1 when there is no transition, else 0 for a task that runs the old code and 1 for one
        that runs the new (``Documentation/livepatch/livepatch.rst``, "Consistency model").  Idle
        tasks have no entry there.
        """
        for directory in directories(self._root):
            try:
                yield directory, (directory / "patch_state").read_text().strip()
            except PermissionError:
                yield directory, UNREADABLE
            except OSError:
                continue  # it has ended


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
