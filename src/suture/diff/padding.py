# SPDX-License-Identifier: GPL-2.0-or-later
"""The padding before a function, into which the kernel may write.

With ``CONFIG_CALL_PADDING`` the compiler puts no-ops before each function's symbol
(``-fpatchable-function-entry=16,16``), and an entry in ``__patchable_function_entries`` that points
at their start.  Call depth tracking and FineIBT put code there, and callthunks first check that the
bytes are no-ops (arch/x86/kernel/callthunks.c: ``patch_dest()``), so a copied function needs its
padding.
"""

from __future__ import annotations

from suture.objects.special import PATCHABLE, Entries
from suture.objects.view import Unit, View


def padding_before(view: View, entries: Entries, unit: Unit) -> int:
    """Return how many bytes before a unit are its padding."""
    if not unit.is_function:
        return 0
    others = view.units_in(unit.section)
    before = max((other.end for other in others if other.end <= unit.start), default=0)
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
