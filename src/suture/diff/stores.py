# SPDX-License-Identifier: GPL-2.0-or-later
"""What the code and data of one object do with a variable: read it, write it, or take its
address."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum, auto

from iced_x86 import Decoder, Instruction, InstructionInfoFactory, MemorySizeExt, OpAccess, Register

from suture.objects.special import SECTIONS
from suture.objects.view import ToUnit, Unit, View

WRITES = (OpAccess.WRITE, OpAccess.COND_WRITE, OpAccess.READ_WRITE, OpAccess.READ_COND_WRITE)

DISCARDED = (".discard", ".debug")
"""Never part of the kernel (include/asm-generic/vmlinux.lds.h: DISCARDS)."""


class Use(Enum):
    READ = auto()
    STORE = auto()
    ADDRESS = auto()
    """Kept, computed with, or handed on: whoever gets it may write through it."""
    SPECIAL = auto()
    """An entry of a section that the kernel walks names it: a static key, for one."""


def uses(view: View, unit: Unit, within: Collection[int] | None = None) -> Mapping[Use, list[str]]:
    """Who uses a variable how: names of functions and variables of the same object, or of sections.

    :param within: offsets of the bytes that matter; what is seen to read or write others alone is
        left out.
    """
    found: dict[Use, list[str]] = {use: [] for use in Use}
    special = {known.name for known in SECTIONS}
    for index in view.obj.relocations:
        section = view.obj.sections[index]
        if not section.is_allocated or section.name.startswith(DISCARDED):
            continue
        for user, start, end in _ranges(view, index):
            for reference in view.references_in(index, start, end):
                if not isinstance(reference.target, ToUnit) or reference.target.unit != unit:
                    continue
                if section.name in special:
                    use, user = Use.SPECIAL, section.name
                elif section.is_code:
                    use, size = code_use(section.data[start:end], reference.offset)
                    first = reference.target.offset
                    if (
                        within is not None
                        and size
                        and not any(at in within for at in range(first, first + size))
                    ):
                        continue
                else:
                    use = Use.ADDRESS
                if user not in found[use]:
                    found[use].append(user)
    return found


def code_use(code: bytes, field: int) -> tuple[Use, int]:
    """What the instruction with a relocated field at offset `field` does with what the field refers
    to.

    :return: the same, and to how many bytes from there; 0 where that may be others.
    """
    decoder = Decoder(64, code)
    for instruction in decoder:
        if field < instruction.next_ip:
            use = instruction_use(decoder, instruction, field)
            return use, 0 if use is Use.ADDRESS else _width(instruction)
    return Use.ADDRESS, 0


def _width(instruction: Instruction) -> int:
    """How many bytes an instruction accesses at the one place that stands in it."""
    if instruction.memory_index != Register.NONE or instruction.memory_base not in (
        Register.NONE,
        Register.RIP,
    ):
        return 0
    return int(MemorySizeExt.size(instruction.memory_size))


def instruction_use(decoder: Decoder, instruction: Instruction, field: int) -> Use:
    """The same for one instruction; `field` counts as its ``ip`` does."""
    constants = decoder.get_constant_offsets(instruction)
    if not constants.has_displacement or instruction.ip + constants.displacement_offset != field:
        return Use.ADDRESS  # an immediate: its address
    used = InstructionInfoFactory().info(instruction).used_memory()
    accesses = [
        memory.access for memory in used if memory.base != Register.RSP
    ]  # a call pushes its return address
    if any(access in WRITES for access in accesses):
        return Use.STORE
    # lea accesses no memory, and an address with an index may be another variable's.
    return Use.READ if OpAccess.READ in accesses or OpAccess.COND_READ in accesses else Use.ADDRESS


def _ranges(view: View, index: int) -> list[tuple[str, int, int]]:
    """The units of a section by name, or the section itself where it has none."""
    units = view.units_in(index)
    if not units:
        return [(view.obj.sections[index].name, 0, view.obj.sections[index].size)]
    return [(f"{u.name}()" if u.is_function else u.name, u.start, u.end) for u in units]
