# SPDX-License-Identifier: GPL-2.0-or-later
"""Modules in the running kernel's memory, above all those of live patches, whether in force or left
over.

``/proc/modules`` has a line ``NAME SIZE REFERENCES USERS STATE ADDRESS (TAINTS)`` for each
(``kernel/module/procfs.c: m_show()``); every user may read it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from suture.core.cores import current
from suture.core.running import ROOT, text
from suture.module import notes
from suture.module.staying import Staying, numbered, parse

if TYPE_CHECKING:
    from suture.model import Fix, Update

LIVEPATCH_TAINT = "K"
"""Each live patch module has it (``kernel/module/main.c: check_modinfo_livepatch()``)."""

_NUMBER = re.compile(r"_(\d{1,9})$")
_LINE = re.compile(
    r"(?P<name>\S+) \d+ (?P<references>\d+|-) \S+ (?P<state>\w+) 0x[0-9a-f]+"
    r"(?: \((?P<taints>.*)\))?"
)


@dataclass(frozen=True, slots=True)
class LoadedModule:
    """A module in memory.

    :ivar state: ``Live``, ``Loading`` or ``Unloading``.
    :ivar references: how many hold it; the livepatch core holds those that it uses.
    :ivar taints: the flags that it brings, as letters.
    :ivar build_id: hexadecimal; "" where the module has none.
    :ivar staying: what the module says if it stays in memory until the reboot.
    :ivar fixes: what the module says that it is for.
    :ivar update: the newer version whose fixes these are, where the module says so.
    """

    name: str
    state: str
    references: int
    taints: str
    build_id: str
    staying: Staying | None = None
    fixes: tuple[Fix, ...] = ()
    update: Update | None = None


def loaded(root: Path = ROOT) -> tuple[LoadedModule, ...]:
    """All of them, the last one that was loaded first."""
    lines = text(root / "proc/modules").splitlines()
    return tuple(_module(match, root) for line in lines if (match := _LINE.match(line)))


def read(name: str, root: Path = ROOT) -> LoadedModule | None:
    """The module of a name; None where there is none."""
    return next((module for module in loaded(root) if module.name == name), None)


def livepatches(root: Path = ROOT) -> tuple[LoadedModule, ...]:
    """All live patch modules in memory."""
    return tuple(module for module in loaded(root) if LIVEPATCH_TAINT in module.taints)


def left_over(root: Path = ROOT) -> tuple[LoadedModule, ...]:
    """Those that the core no longer uses and nobody has unloaded: replaced or taken out, they do
    nothing any more."""
    return tuple(module for module in _out_of_force(root) if module.staying is None)


def staying(root: Path = ROOT) -> tuple[LoadedModule, ...]:
    """Those that the core no longer uses and that stay in memory until the reboot, because the
    kernel may still call what they handed out."""
    return tuple(module for module in _out_of_force(root) if module.staying is not None)


def stays(name: str, root: Path = ROOT) -> tuple[str, ...]:
    """Why a module stays in memory until the reboot; empty for one that can be unloaded."""
    module = read(name, root)
    return module.staying.reasons if module is not None and module.staying is not None else ()


def _out_of_force(root: Path) -> Iterator[LoadedModule]:
    """One that is being loaded is not in the core's list yet, and is not out of force."""
    core = current(root)
    for module in livepatches(root):
        if module.state == "Live" and not core.has(module.name):
            yield module


def live_patch_name(name: str, root: Path = ROOT) -> str:
    """The name of the live patch in a module: its own, unless it was loaded under another because
    an earlier one of the name stays in memory (`suture.module.renaming`)."""
    module = read(name, root)
    if module is None:
        return name
    if module.staying is not None:
        return module.staying.name
    # A new build that does not stay itself may have met its predecessor's name.
    for other in staying(root):
        original = other.staying.name if other.staying is not None else ""
        match = _NUMBER.search(name)
        if original and match and name == numbered(original, int(match[1])):
            return original
    return name


def loaded_as(name: str, root: Path = ROOT) -> str:
    """The name of the module with a live patch that the core has; `name` itself where it has
    none."""
    core = current(root)
    if core.has(name):
        return name
    others = (patch.name for patch in core.patches())
    return next((other for other in others if live_patch_name(other, root) == name), name)


def free_name(name: str, root: Path = ROOT) -> str:
    """A name for a live patch that no module has: its own, or that with a number."""
    taken = {module.name for module in loaded(root)}
    candidates = (numbered(name, number) for number in count(2))
    return name if name not in taken else next(one for one in candidates if one not in taken)


def _module(match: re.Match[str], root: Path) -> LoadedModule:
    held = match["references"]
    # In Linux 6.4 and later the flags of a module that is coming or going stand among them
    # (module_flags()).
    taints = (match["taints"] or "").strip("+-")
    directory = root / "sys/module" / match["name"] / "notes"
    is_livepatch = LIVEPATCH_TAINT in taints
    own = _note(directory / notes.SECTION) if is_livepatch else b""
    return LoadedModule(
        match["name"],
        match["state"],
        int(held) if held.isdigit() else 0,
        taints,
        notes.build_id(_note(directory / notes.BUILD_ID_SECTION)) if is_livepatch else "",
        parse(own),
        _fixes(own),
        _update(own),
    )


def _fixes(own: bytes) -> tuple[Fix, ...]:
    if not own:
        return ()
    from suture.module.fixes import parse_note

    return parse_note(own)


def _update(own: bytes) -> Update | None:
    if not own:
        return None
    from suture.module.updates import parse_note

    return parse_note(own)


def _note(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
