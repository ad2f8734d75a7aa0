# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls and jumps between functions of one section, for which the assembler leaves no relocation.

Code that asks for a section (``__sched``, ``noinstr``, ``__init``) shares it with others of the
same file, and where the callee is local the assembler writes the distance at once.  It holds only
while both stay where they are: taken out alone, the call would lead anywhere.  So the relocation is
written that a section of its own would have brought.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence

from iced_x86 import Decoder, Instruction

from suture.elf.object import STT_FUNC, ObjectFile, Relocation, Symbol
from suture.elf.relocations.x86_64 import BRANCHES, PC8, PC32


def relocated(obj: ObjectFile) -> Mapping[int, tuple[Relocation, ...]]:
    """The object's relocations, by section, and those that the assembler left out between
    functions."""
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
    """:param functions: index and symbol of each in this section, by address."""
    data = obj.sections[section].data
    starts = [symbol.value for _, symbol in functions]
    known = {relocation.offset for relocation in obj.relocations.get(section, ())}
    seen: set[int] = set()
    for _, symbol in functions:
        if symbol.value in seen:
            continue
        seen.add(symbol.value)
        end = symbol.value + symbol.size
        for instruction in Decoder(64, data[symbol.value : end], ip=symbol.value):
            size = _field_size(instruction)
            field = instruction.next_ip - size
            if not size or field in known or symbol.value <= instruction.near_branch_target < end:
                continue
            position = bisect_right(starts, instruction.near_branch_target) - 1
            if not 0 <= instruction.near_branch_target < len(data) or position < 0:
                continue  # not a function's; data between functions may look like code
            addend = instruction.near_branch_target - starts[position] - size
            yield Relocation(field, PC32 if size == 4 else PC8, functions[position][0], addend)


def _field_size(instruction: Instruction) -> int:
    """Bytes of the distance at the end of a direct call or jump; 0 for all other instructions."""
    if instruction.flow_control not in BRANCHES:
        return 0
    if instruction.is_jcc_near or instruction.is_jmp_near or instruction.is_call_near:
        return 4
    return 1 if instruction.is_jcc_short or instruction.is_jmp_short else 0
