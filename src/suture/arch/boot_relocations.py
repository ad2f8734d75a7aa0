# SPDX-License-Identifier: GPL-2.0-or-later
"""The places of a kernel image that change when the kernel moves itself at boot (KASLR)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

LONGEST = 8
"""Bytes of the longest place."""


@dataclass(frozen=True, slots=True)
class BootRelocations:
    """The places, as link addresses, ascending.

    :ivar words: addresses of 64 bits; `fields`: of 32 bits.
    :ivar inverse: of 32 bits: distances from what moves to what does not.
    """

    words: Sequence[int]
    inverse: Sequence[int]
    fields: Sequence[int]

    def applied(self, data: bytes, address: int, move: int) -> bytes:
        """Return the bytes at a link address as they are after the kernel has moved.

        A place that is not wholly inside stays as it is.
        """
        result = bytearray(data)
        kinds = ((self.words, 8, move), (self.inverse, 4, -move), (self.fields, 4, move))
        for places, size, by in kinds:
            first, last = bisect_left(places, address), bisect_left(places, address + len(data))
            for place in places[first:last]:
                _add(result, place - address, size, by)
        return bytes(result)


def _add(data: bytearray, at: int, size: int, value: int) -> None:
    if at + size <= len(data):
        old = int.from_bytes(data[at : at + size], "little")
        data[at : at + size] = (old + value & (1 << 8 * size) - 1).to_bytes(size, "little")
