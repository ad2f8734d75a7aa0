# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine of an ELF file: a number and a byte order."""

from __future__ import annotations

from typing import Literal, NamedTuple

ByteOrder = Literal["little", "big"]

EI_DATA, EI_VERSION = 5, 6
ORDERS: tuple[ByteOrder, ByteOrder] = ("little", "big")
"""ELFDATA2LSB and ELFDATA2MSB, which count from 1 (gABI 4.3, figure 4-7)."""

IDENTIFIED = 20
"""Bytes from a file's start up to the end of ``e_machine``."""


class ElfMachine(NamedTuple):
    """A machine: ``e_machine``, and the byte order of the file and its code.

    Both are needed: 64-bit PowerPC kernels have one number and two byte orders.
    """

    number: int
    order: ByteOrder

    @property
    def prefix(self) -> str:
        """The byte order, in a `struct` format's spelling."""
        return "<" if self.order == "little" else ">"

    @property
    def ident(self) -> bytes:
        """``e_ident`` up to its padding: 64-bit, this byte order, version 1."""
        return b"\x7fELF\x02" + bytes((1 + ORDERS.index(self.order), 1))


def identify(head: bytes) -> ElfMachine | None:
    """Return the machine of a 64-bit ELF file, or None for other files.

    :param head: the first `IDENTIFIED` bytes, or more.
    """
    if len(head) < IDENTIFIED or not 1 <= head[EI_DATA] <= len(ORDERS):
        return None
    order = ORDERS[head[EI_DATA] - 1]
    found = ElfMachine(int.from_bytes(head[18:20], order), order)
    return found if head.startswith(found.ident[:EI_VERSION]) else None
