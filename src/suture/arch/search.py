# SPDX-License-Identifier: GPL-2.0-or-later
"""Finding what leads to an address in linked code and data, without decoding all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from suture.arch.machine import ByteOrder


@dataclass(frozen=True, slots=True)
class Lead:
    """A place in code that leads to the address that was looked for.

    :ivar field: the address of the place.
    :ivar is_branch: it is where a call or jump has its target; otherwise the address is used in
        another way, or nobody can tell.
    """

    field: int
    is_branch: bool


class CodeSearch(Protocol):
    """Finds what leads to an address; a module of functions will do."""

    def leads(
        self, code: bytes, address: int, target: int, start: Callable[[int], int]
    ) -> Iterator[Lead]:
        """What leads to `target` in a section of linked code.

        :param address: of the section.
        :param start: an address in it -> where the function starts that it is in.
        """

    def suspects(self, code: bytes, address: int, target: int) -> Iterator[int]:
        """The addresses of what could lead to `target` in code of which nobody knows where its
        instructions start."""


def absolute(data: bytes, address: int, target: int, size: int, order: ByteOrder) -> Iterator[int]:
    """The addresses of fields of `size` bytes that hold `target` itself, wherever they stand.

    :param address: of the data.
    """
    wanted = (target % (1 << 8 * size)).to_bytes(size, order)
    position = data.find(wanted)
    while position >= 0:
        yield address + position
        position = data.find(wanted, position + 1)


def relative(data: bytes, address: int, target: int, bias: int, order: ByteOrder) -> Iterator[int]:
    """The addresses of 32-bit fields that lead to `target` from `bias` bytes after their start.

    The upper half of such a field is the same over 64 KB, so that it can be searched for.

    :param address: of the data.
    """
    half = 2 if order == "little" else 0  # where the upper half is
    position, last = 0, len(data) - 4
    while position <= last:
        distance = (target - (address + position + bias)) % 2**32
        upper = (distance >> 16).to_bytes(2, order)
        # The first place with another upper half.
        stop = min(position + (distance & 0xFFFF), last) + 1
        found = data.find(upper, position + half, stop + half + 1)
        while found >= 0:
            place = found - half
            wanted = (target - (address + place + bias)) % 2**32
            if place < stop and int.from_bytes(data[place : place + 4], order) == wanted:
                yield address + place
            found = data.find(upper, found + 1, stop + half + 1)
        position = stop
