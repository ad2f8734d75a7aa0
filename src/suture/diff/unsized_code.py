# SPDX-License-Identifier: GPL-2.0-or-later
"""Code that no function symbol covers: functions without a size, as in hand-written assembly.

Nothing shows where such code begins and ends, so it cannot be replaced, and a change is refused.
"""

from __future__ import annotations

from collections import Counter

from suture.errors import SYMBOL_UNSUPPORTED, Refusal
from suture.objects.view import View

Gap = tuple[bytes, tuple[tuple[int, int, str, int], ...]]
"""Bytes, and relocations in them: offset, type, name of symbol or section, addend."""


def refuse_changed_gaps(original: View, patched: View) -> None:
    """Refuse changes of code that no function symbol covers.

    :raises Refusal: ``symbol-unsupported``
    """
    before, after = _gaps(original), _gaps(patched)
    for section in sorted(before.keys() | after.keys()):
        if before.get(section) != after.get(section):
            raise Refusal(
                SYMBOL_UNSUPPORTED,
                f"{patched.obj.name}: {section}",
                "code changes there that no function symbol with a size covers",
                why="Nothing shows where that code begins and ends, so it cannot be cut out.",
                remedy="Give the function's symbol a size (.size in assembly), on both sides.",
            )


def _gaps(view: View) -> dict[str, Counter[Gap]]:
    """Count the gaps between functions that are no padding, by section."""
    gaps: dict[str, Counter[Gap]] = {}
    is_padding = view.obj.arch.decoding.is_padding
    for index, section in enumerate(view.obj.sections):
        units = view.units_in(index)
        if not section.is_code or not section.is_allocated or not units:
            continue
        position = 0
        ranges = [(unit.start, unit.end) for unit in units]
        for start, end in [*ranges, (section.size, section.size)]:
            if position < start and not is_padding(section.data[position:start]):
                gap = section.data[position:start], _relocations(view, index, position, start)
                gaps.setdefault(section.name, Counter())[gap] += 1
            position = max(position, end)
    return gaps


def _relocations(
    view: View, section: int, start: int, end: int
) -> tuple[tuple[int, int, str, int], ...]:
    """Return the relocations of a range in a form that both objects share."""
    relocations = []
    for relocation in view.relocations(section, start, end):
        symbol, name = view.obj.symbols[relocation.symbol], ""
        if symbol.name or symbol.is_defined_here:
            name = symbol.name or view.obj.sections[symbol.shndx].name
        relocations.append((relocation.offset - start, relocation.type, name, relocation.addend))
    return tuple(relocations)
