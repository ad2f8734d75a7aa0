# SPDX-License-Identifier: GPL-2.0-or-later
"""The search for references to an address in linked code and data, without decoding all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from suture.arch.machine import ByteOrder


@dataclass(frozen=True, slots=True)
class Lead:
    """A place in code that refers to the wanted address.

    :ivar field: the address of the place.
    :ivar is_branch: it is the target of a call or jump; otherwise the use is another one, or
        unknown.
    """

    field: int
    is_branch: bool


class Link(NamedTuple):
    """A place in code that seems to refer to one of many addresses.

    :ivar field: the address of the place.
    :ivar is_branch: it is the target of a call or jump, otherwise an address that the code loads.
    """

    field: int
    target: int
    is_branch: bool


class CodeSearch(Protocol):
    """Finds references to an address; a module of functions will do."""

    def leads(
        self, code: bytes, address: int, target: int, start: Callable[[int], int]
    ) -> Iterator[Lead]:
        """Yield the references to `target` in a section of linked code.

        :param address: the section's address.
        :param start: an address in it -> the start of its function.
        """

    def suspects(self, code: bytes, address: int, target: int) -> Iterator[int]:
        """Yield the addresses of possible references to `target`, in code with unknown starts of
        instructions."""

    def links(self, code: bytes, address: int, targets: Set[int]) -> Iterator[Link]:
        """Yield the references to any of `targets`, without decoding.

        It is a quick look at a whole kernel: bytes inside another instruction can have the form of
        a call, too.
        """


def absolute(data: bytes, address: int, target: int, size: int, order: ByteOrder) -> Iterator[int]:
    """Yield the addresses of all fields of `size` bytes that contain `target` itself.

    :param address: the address of the data.
    """
    wanted = (target % (1 << 8 * size)).to_bytes(size, order)
    position = data.find(wanted)
    while position >= 0:
        yield address + position
        position = data.find(wanted, position + 1)


def relative(data: bytes, address: int, target: int, bias: int, order: ByteOrder) -> Iterator[int]:
    """Yield the addresses of 32-bit fields with the distance to `target`, from `bias` bytes after
    their start.

    The upper half of such a field is the same over 64 KB, so the search is for that half.

    :param address: the address of the data.
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
