# SPDX-License-Identifier: GPL-2.0-or-later
"""Machine code as values: instructions, their targets, and the fields in them that the linker fills
in.

Offsets and addresses count from the address for which the code is decoded.  Bytes that are not code
(data between functions, zeros) are decoded too, as far as possible.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, Protocol


class Flow(Enum):
    """The place where the processor continues after an instruction."""

    NEXT = auto()
    JUMP = auto()
    CONDITIONAL_JUMP = auto()
    INDIRECT_JUMP = auto()
    CALL = auto()
    INDIRECT_CALL = auto()
    RETURN = auto()
    TRAP = auto()
    """Nowhere, as after ``BUG()``."""
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, ``[start, end)``.

    :ivar target: the target of a call or jump that contains it as a distance; else None.
    :ivar operation: a number for its operation; equal for the short and the long form of one jump.
    """

    start: int
    end: int
    flow: Flow
    target: int | None
    operation: int


@dataclass(frozen=True, slots=True)
class DirectBranch:
    """A call or jump that contains its target as a distance.

    :ivar field: the place of the distance.
    :ivar type: the relocation type that the assembler writes for the field.
    :ivar origin: the place from which the distance counts.
    """

    instruction: Instruction
    target: int
    field: int
    type: int
    origin: int


class CodeField(NamedTuple):
    """The instruction around a relocated field.

    :ivar origin: the place from which its PC-relative fields count: on x86-64 its end, on s390 its
        start.
    :ivar is_branch: it is a call or jump, and the field is its target; `is_call`: it is a call.
    """

    start: int
    end: int
    origin: int
    is_branch: bool
    is_call: bool


class CodeFields(Protocol):
    """Finds the instruction around a field; decodes the code once, at the first use."""

    def at(self, offset: int) -> CodeField:
        """Return the instruction that contains the byte at `offset`."""


class Decoding(Protocol):
    """Decodes instructions; a module of functions will do."""

    def instructions(self, code: bytes, address: int = 0) -> Iterator[Instruction]:
        """Yield all instructions of `code`, which starts with one, in order."""

    def branches(self, code: bytes, address: int = 0) -> Iterator[DirectBranch]:
        """Yield the calls and jumps that contain their targets, in order."""

    def fields(self, code: bytes) -> CodeFields:
        """Return a finder of the instructions around fields of `code`, which starts with one."""

    def is_padding(self, code: bytes) -> bool:
        """Whether `code` is only what assemblers put between functions."""

    def is_no_op(self, instruction: bytes) -> bool:
        """Whether an instruction does nothing, as those that align a loop."""

    def text(self, code: bytes, address: int) -> str:
        """Return an instruction in the assembler's spelling, for people."""

    def is_relaxation(self, ours: bytes, theirs: bytes) -> bool:
        """Whether the linker may rewrite one instruction as another: on s390, ``lgrl`` as ``larl``.

        :param ours: the instruction with the relocated field, zeros in the field.
        :param theirs: the linked instruction, zeros in the field.
        """
