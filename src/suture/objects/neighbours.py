# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls and jumps between functions of one section, for which the assembler writes no relocation.

Code with ``__sched``, ``noinstr`` or ``__init`` shares a section with other code of the same file,
and where the callee is local the assembler fills in the distance.  For example,
kernel/locking/mutex.c has ``mutex_lock()`` and its static ``__mutex_lock_slowpath()`` in
``.sched.text``.  The distance holds only while both keep their places: a copy of ``mutex_lock()``
would call whatever is at that distance.  So the missing relocation, which a section of its own
would have had, is added.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence

from suture.elf.object import STT_FUNC, ObjectFile, Relocation, Symbol


def relocated(obj: ObjectFile) -> Mapping[int, tuple[Relocation, ...]]:
    """Return the object's relocations by section, with the missing ones between functions."""
    functions: dict[int, list[tuple[int, Symbol]]] = {}
    for index, symbol in obj.symbols_of_type(STT_FUNC):
        functions.setdefault(symbol.shndx, []).append((index, symbol))
    added = {
        section: (
            *obj.relocations.get(section, ()),
            *_between(obj, section, sorted(found, key=_place)),
        )
        for section, found in functions.items()
        if len({symbol.value for _, symbol in found}) > 1 and obj.sections[section].is_code
    }
    return {
        **obj.relocations,
        **{s: tuple(sorted(found, key=lambda r: r.offset)) for s, found in added.items()},
    }


def _place(function: tuple[int, Symbol]) -> int:
    return function[1].value


def _between(
    obj: ObjectFile, section: int, functions: Sequence[tuple[int, Symbol]]
) -> Iterator[Relocation]:
    """Yield the missing relocations of a section.

    :param functions: index and symbol of each function in the section, by address.
    """
    data, decoding = obj.sections[section].data, obj.arch.decoding
    starts = [symbol.value for _, symbol in functions]
    known = {relocation.offset for relocation in obj.relocations.get(section, ())}
    seen: set[int] = set()
    for _, symbol in functions:
        if symbol.value in seen:
            continue
        seen.add(symbol.value)
        end = symbol.value + symbol.size
        for branch in decoding.branches(data[symbol.value : end], symbol.value):
            if branch.field in known or symbol.value <= branch.target < end:
                continue
            position = bisect_right(starts, branch.target) - 1
            if not 0 <= branch.target < len(data) or position < 0:
                continue  # leads to no function: data between functions may look like code
            addend = branch.target - starts[position] - (branch.origin - branch.field)
            yield Relocation(branch.field, branch.type, functions[position][0], addend)
