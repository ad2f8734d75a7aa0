# SPDX-License-Identifier: GPL-2.0-or-later
"""Live patch modules in the running kernel's memory, whether in force or left over, as ``/sys/module`` shows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from suture.core import notes, sysfs
from suture.core.running import ROOT, text

DIRECTORY = "sys/module"

LIVEPATCH_TAINT = "K"
"""Each live patch module has it (``kernel/module/main.c: check_modinfo_livepatch()``)."""


@dataclass(frozen=True, slots=True)
class LoadedModule:
    """A module in memory.

    :ivar state: ``live``, ``coming`` or ``going`` (``kernel/module/sysfs.c: show_initstate()``).
    :ivar references: how many hold it; the livepatch core holds those that it uses.
    :ivar build_id: hexadecimal; "" where the module has none.
    """

    name: str
    state: str
    references: int
    build_id: str


def read(name: str, root: Path = ROOT) -> LoadedModule | None:
    """The module of a name; None where there is none.  What is built in has a directory too, but no state."""
    directory = root / DIRECTORY / name
    state = text(directory / "initstate")
    if not state:
        return None
    count = text(directory / "refcnt")
    return LoadedModule(name, state, int(count) if count.isdigit() else 0, _build_id(directory))


def livepatches(root: Path = ROOT) -> Iterator[LoadedModule]:
    """All live patch modules in memory, by name."""
    try:
        names = sorted(entry.name for entry in (root / DIRECTORY).iterdir())
    except OSError:
        return
    for name in names:
        if LIVEPATCH_TAINT in text(root / DIRECTORY / name / "taint"):
            found = read(name, root)
            if found is not None:
                yield found


def left_over(root: Path = ROOT) -> tuple[LoadedModule, ...]:
    """Those that the core no longer uses and nobody has unloaded: replaced or taken out, they do nothing any more.

    One that is being loaded is not in the core's list yet, and is no leftover.
    """
    return tuple(
        module
        for module in livepatches(root)
        if module.state == "live" and not (root / sysfs.DIRECTORY / module.name).exists()
    )


def _build_id(directory: Path) -> str:
    try:
        return notes.build_id((directory / "notes/.note.gnu.build-id").read_bytes())
    except OSError:
        return ""
