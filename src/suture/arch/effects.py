# SPDX-License-Identifier: GPL-2.0-or-later
"""The effects of code on memory and on the registers of the C calling convention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from suture.arch.decoding import Flow


class Access(Enum):
    """The use that an instruction makes of the memory to which one of its fields refers."""

    READ = auto()
    STORE = auto()
    ADDRESS = auto()
    """It computes with the address or saves it; what happens there later is unknown."""


@dataclass(frozen=True, slots=True)
class CallConvention:
    """How C functions call each other.

    :ivar arguments: the registers of arguments, in order, by the architecture's own numbers.
    :ivar saved: the registers that keep their values over a call.
    :ivar result: the register of a returned value.
    :ivar transparent: functions after which all registers are as before.
    :ivar return_thunk: the function to which compilers jump in order to return; "" for none.
    :ivar pointer_thunks: begins the names of what compilers call in place of a pointer.
    """

    arguments: tuple[int, ...]
    saved: frozenset[int]
    result: int
    transparent: tuple[str, ...]
    return_thunk: str
    pointer_thunks: str


@dataclass(frozen=True, slots=True)
class AddressStep:
    """What one instruction does with an address that registers hold.

    :ivar end: where the instruction ends.
    :ivar flow: where the processor continues; `target`: as in `suture.arch.decoding.Instruction`.
    :ivar registers: those that hold the address, or something made of it, afterwards.
    :ivar is_stored: it writes the address to memory; `is_spilled`: to the stack.
    """

    end: int
    flow: Flow
    target: int | None
    registers: frozenset[int]
    is_stored: bool
    is_spilled: bool


@dataclass(frozen=True, slots=True)
class StoredValue:
    """What a store does with the place that it writes.

    :ivar reads: it may use the value that is there, as an addition does.
    :ivar is_zero: it puts zero there, if the instruction has no relocated field for the value.
    """

    reads: bool
    is_zero: bool


class Effects(Protocol):
    """Finds effects in the code of one function; a module of functions will do."""

    def access(self, code: bytes, field: int) -> tuple[Access, int]:
        """Return the use that the instruction with a relocated field at offset `field` makes of it.

        :return: also the number of bytes, from the place to which the field refers; 0 if the
            instruction may use other bytes.
        """

    def stored(self, code: bytes, at: int) -> StoredValue:
        """Return what the instruction at `at` in the code of a function does, for which `access`
        returns `Access.STORE`."""

    def returns_zero_after(self, code: bytes, is_relocated: bool, before: bool) -> bool:
        """Whether the register of a returned ``int`` is certain to hold 0 after one instruction.

        :param code: the instruction, which is neither a jump nor a call.
        :param is_relocated: it has a relocated field.
        :param before: the register held 0 before it.
        """

    def arguments(
        self, code: bytes, relocated: frozenset[int], calls: Mapping[int, int]
    ) -> list[int | None]:
        """Return the constants that a function passes to others, in the order of its calls; None
        for an argument that it computes at run time.

        :param relocated: the offsets of relocated fields in `code`.
        :param calls: offset of the target of a call in `code` -> the wanted argument, from 0.
        """

    @property
    def convention(self) -> CallConvention:
        """How C functions call each other."""

    def address_step(
        self, code: bytes, at: int, registers: frozenset[int], field: int | None, loads: bool
    ) -> AddressStep:
        """Follow an address over the instruction at `at`.

        :param registers: those that hold the address before it.
        :param field: the offset in `code` of the instruction's field that refers to the address;
            None if it has none.
        :param loads: follow also what is loaded from the address, as the pointers in a table.
        """
