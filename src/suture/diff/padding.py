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

NOP = b"\x90"


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
    start = max(places, default=unit.start)
    return unit.start - start if not view.section(unit).data[start : unit.start].strip(NOP) else 0
