# SPDX-License-Identifier: GPL-2.0-or-later
"""Modules in the running kernel's memory, above all those of live patches, whether in force or left
over.

``/proc/modules`` has a line ``NAME SIZE REFERENCES USERS STATE ADDRESS (TAINTS)`` for each
(``kernel/module/procfs.c: m_show()``); every user may read it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from suture.core import notes
from suture.core.cores import current
from suture.core.running import ROOT, text

LIVEPATCH_TAINT = "K"
"""Each live patch module has it (``kernel/module/main.c: check_modinfo_livepatch()``)."""

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
    """

    name: str
    state: str
    references: int
    taints: str
    build_id: str


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
    nothing any more.

    One that is being loaded is not in the core's list yet, and is no leftover.
    """
    core = current(root)
    return tuple(
        module
        for module in livepatches(root)
        if module.state == "Live" and not core.has(module.name)
    )


def _module(match: re.Match[str], root: Path) -> LoadedModule:
    count = match["references"]
    # In Linux 6.4 and later the flags of a module that is coming or going stand among them
    # (module_flags()).
    taints = (match["taints"] or "").strip("+-")
    return LoadedModule(
        match["name"],
        match["state"],
        int(count) if count.isdigit() else 0,
        taints,
        _build_id(root / "sys/module" / match["name"]) if LIVEPATCH_TAINT in taints else "",
    )


def _build_id(directory: Path) -> str:
    try:
        return notes.build_id((directory / "notes/.note.gnu.build-id").read_bytes())
    except OSError:
        return ""
