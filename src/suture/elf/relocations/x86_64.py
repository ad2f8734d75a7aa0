# SPDX-License-Identifier: GPL-2.0-or-later
"""Relocated fields in x86-64 code: the instruction around them, and what they refer to."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from iced_x86 import Decoder, FlowControl, Instruction

from suture.elf.object import Relocation
from suture.elf.relocations.x86_64_types import ADDRESS64 as ADDRESS64
from suture.elf.relocations.x86_64_types import PC8 as PC8
from suture.elf.relocations.x86_64_types import PC32 as PC32
from suture.elf.relocations.x86_64_types import TYPES as TYPES

BRANCHES = (FlowControl.CALL, FlowControl.UNCONDITIONAL_BRANCH, FlowControl.CONDITIONAL_BRANCH)
"""Calls and jumps whose target stands in the instruction."""


@dataclass(frozen=True, slots=True)
class Field:
    """The instruction around a relocated field, offsets as those of the code that was decoded.

    :ivar end: where the instruction ends: a PC-relative field counts from there.
    :ivar is_branch: a call or jump whose target the field is; `is_call`: a call.
    """

    start: int
    end: int
    is_branch: bool
    is_call: bool


class Code:
    """Finds the instruction around an offset.  `data` starts with an instruction; decoded once,
    when first asked."""

    __slots__ = ("_data", "_instructions", "_starts")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._instructions: list[Instruction] = []
        self._starts: list[int] = []

    def field(self, offset: int) -> Field:
        """The instruction that holds the byte at `offset`."""
        if not self._starts:
            self._instructions = list(Decoder(64, self._data))
            self._starts = [instruction.ip for instruction in self._instructions]
        instruction = self._instructions[bisect_right(self._starts, offset) - 1]
        flow = instruction.flow_control
        return Field(
            instruction.ip, instruction.next_ip, flow in BRANCHES, flow == FlowControl.CALL
        )


def is_direct_branch(instruction: Instruction) -> bool:
    """A call or jump, short or near, whose target stands in it as a distance."""
    return instruction.flow_control in BRANCHES and (
        instruction.is_jcc_short_or_near
        or instruction.is_jmp_short_or_near
        or instruction.is_call_near
    )


def target_bias(relocation: Relocation, code: Code | None) -> int:
    """What to add to a relocation's addend to get the offset from its symbol that it really refers
    to.

    A PC-relative field of an instruction counts from the instruction's end, which the assembler
    puts into the addend; in data (`code` is None) it counts from the field itself.
    """
    if not TYPES[relocation.type].pc_relative or code is None:
        return 0
    return code.field(relocation.offset).end - relocation.offset


def field_value(relocation_type: int, data: bytes, offset: int) -> int:
    """The number that stands in a relocated field."""
    kind = TYPES[relocation_type]
    return int.from_bytes(data[offset : offset + kind.size], "little", signed=kind.signed)


def apply(relocation: Relocation, data: bytearray, place: int, symbol: int) -> None:
    """Write S + A (- P) into the field, truncated to its size.

    :param symbol: S.
    """
    kind = TYPES[relocation.type]
    value = symbol + relocation.addend - (place if kind.pc_relative else 0)
    field = (value % (1 << 8 * kind.size)).to_bytes(kind.size, "little")
    data[relocation.offset : relocation.offset + kind.size] = field
