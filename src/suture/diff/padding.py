# SPDX-License-Identifier: GPL-2.0-or-later
"""The room before a function that the kernel may write into.

With ``CONFIG_CALL_PADDING`` the compiler puts no-ops before each function's symbol
(``-fpatchable-function-entry=16,16``), and an entry in ``__patchable_function_entries`` that points
at their start. Call depth tracking and FineIBT put code there, and callthunks look first whether
they are no-ops (arch/x86/kernel/callthunks.c: ``patch_dest()``); other code in their place would
not be.
"""

from __future__ import annotations

from suture.objects.special import PATCHABLE, Entries
from suture.objects.view import Unit, View


def lead(view: View, entries: Entries, unit: Unit) -> int:
    """How many bytes before `unit` are its padding."""
    if not unit.is_function:
        return 0
    before = max(
        (other.end for other in view.units_in(unit.section) if other.end <= unit.start), default=0
    )
    places = [
        entry.place
        for entry in entries.within(unit.section, before, unit.start)
        if entry.special.name == PATCHABLE and entry.place < unit.start
    ]
    if not places:
        return 0
    start = max(places)
    room = view.section(unit).data[start : unit.start]
    return len(room) if not room.strip(view.obj.arch.entry.padding) else 0
