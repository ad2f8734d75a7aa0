# SPDX-License-Identifier: GPL-2.0-or-later
"""Relocation types as values: the form of a relocated field, and how to read and write it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from suture.arch.machine import ByteOrder


@dataclass(frozen=True, slots=True)
class RelocationType:
    """The form of a relocated field.

    :ivar size: bytes of the field, or of the word of code that contains it.
    :ivar shift: the field lacks so many low bits of the value (s390: ``R_390_PC32DBL``).
    :ivar mask: the field's bits in the word, lowest bits first, in the file's byte order
        (AArch64: ``R_AARCH64_CALL26``); empty for all bits.
    """

    name: str
    size: int
    pc_relative: bool
    signed: bool
    shift: int = 0
    mask: bytes = b""

    def read(self, data: bytes, offset: int, order: ByteOrder) -> int:
        """Return the number in a relocated field."""
        field = data[offset : offset + self.size]
        if not self.mask:
            return int.from_bytes(field, order, signed=self.signed) << self.shift
        mask = int.from_bytes(self.mask, order)
        low = (mask & -mask).bit_length() - 1
        value, bits = (int.from_bytes(field, order) & mask) >> low, mask.bit_length() - low
        if self.signed and value >> bits - 1:
            value -= 1 << bits
        return value << self.shift

    def write(self, data: bytearray, offset: int, order: ByteOrder, value: int) -> None:
        """Write a number into a field, truncated to its size; other bits of its word stay."""
        field, bits = value >> self.shift, 8 * self.size
        if self.mask:
            mask = int.from_bytes(self.mask, order)
            low = (mask & -mask).bit_length() - 1
            word = int.from_bytes(data[offset : offset + self.size], order)
            field = word & ~mask | field << low & mask
        data[offset : offset + self.size] = (field % (1 << bits)).to_bytes(self.size, order)

    def blank(self, data: bytearray, offset: int) -> None:
        """Write zeros into a field."""
        if self.mask:
            for at, byte in enumerate(self.mask, offset):
                data[at] &= ~byte
        else:
            data[offset : offset + self.size] = bytes(self.size)


@dataclass(frozen=True, slots=True)
class RelocationTypes:
    """The relocation types of an architecture.

    :ivar types: by number, without types that the kernel's module loader does not know.
    :ivar address: the number of the type for a whole address.
    :ivar relative: the number of the type for a 32-bit distance from the field.
    :ivar unmovable: the numbers of types with fields too small to lead out of a section.
    """

    types: Mapping[int, RelocationType]
    address: int
    relative: int
    unmovable: frozenset[int] = frozenset()
