# SPDX-License-Identifier: GPL-2.0-or-later
"""Machine code as values: instructions, where they lead, and the fields in them that the linker
fills in.

Offsets and addresses count from the address that the code is decoded for.  Code that is no code is
decoded too, as far as it goes: data between functions, zeros.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, Protocol


class Flow(Enum):
    """Where the processor goes after an instruction."""

    NEXT = auto()
    JUMP = auto()
    CONDITIONAL_JUMP = auto()
    INDIRECT_JUMP = auto()
    CALL = auto()
    INDIRECT_CALL = auto()
    RETURN = auto()
    TRAP = auto()
    """It does not go on, as after ``BUG()``."""
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, ``[start, end)``.

    :ivar target: where a call or jump leads whose target stands in it as a distance; None for all
        other instructions.
    :ivar operation: what it does; equal for the forms of one jump that reach less or more far.
    """

    start: int
    end: int
    flow: Flow
    target: int | None
    operation: int


@dataclass(frozen=True, slots=True)
class DirectBranch:
    """A call or jump whose target stands in it.

    :ivar field: where the distance is; `type`: of the relocation that the assembler writes for it.
    :ivar origin: the place from which it counts.
    """

    instruction: Instruction
    target: int
    field: int
    type: int
    origin: int


class CodeField(NamedTuple):
    """The instruction around a relocated field.

    :ivar origin: the place from which a PC-relative field of it counts: on x86-64 its end, on s390
        its start.
    :ivar is_branch: a call or jump whose target the field is; `is_call`: a call.
    """

    start: int
    end: int
    origin: int
    is_branch: bool
    is_call: bool


class CodeFields(Protocol):
    """Finds the instruction around a field; the code is decoded once, when first asked."""

    def at(self, offset: int) -> CodeField:
        """The instruction that holds the byte at `offset`."""


class Decoding(Protocol):
    """How code is taken apart; a module of functions will do."""

    def instructions(self, code: bytes, address: int = 0) -> Iterator[Instruction]:
        """All instructions, in order.  `code` starts with one."""

    def branches(self, code: bytes, address: int = 0) -> Iterator[DirectBranch]:
        """The calls and jumps of `instructions` whose targets stand in them."""

    def fields(self, code: bytes) -> CodeFields:
        """Finds instructions around relocated fields of `code`, which starts with one."""

    def is_padding(self, code: bytes) -> bool:
        """Whether it is what assemblers put between functions, and nothing else."""

    def text(self, code: bytes, address: int) -> str:
        """An instruction as the assembler writes it, for people."""

    def is_relaxation(self, ours: bytes, theirs: bytes) -> bool:
        """Whether the linker makes one instruction of another where it can, as ``larl`` of
        ``lgrl`` on s390.

        :param ours: the instruction with the relocated field, `theirs` the linked one; both with
            zeros in the field.
        """
