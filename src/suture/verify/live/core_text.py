# SPDX-License-Identifier: GPL-2.0-or-later
"""The core kernel's image and memory (`suture.arch.live_code.LiveText`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from suture.arch.boot_relocations import LONGEST, BootRelocations
from suture.kernel.btf import Btf
from suture.kernel.types import struct_sizes
from suture.verify.live.kcore import Kcore
from suture.verify.shipped import ShippedImage

BOUNDED: Mapping[str, tuple[str, str]] = {
    "__jump_table": ("__start___jump_table", "__stop___jump_table"),
    ".static_call_sites": ("__start_static_call_sites", "__stop_static_call_sites"),
    "__mcount_loc": ("__start_mcount_loc", "__stop_mcount_loc"),
}
"""Tables that the linker merges into other sections of the core kernel
(``include/asm-generic/vmlinux.lds.h``): the symbols around them."""


class CoreText:
    """The core kernel.

    :param move: how far it moved at boot: running address - link address.
    :param relocations: None if it did not move.
    """

    def __init__(
        self,
        vmlinux: ShippedImage,
        kcore: Kcore,
        move: int,
        relocations: BootRelocations | None,
        types: Btf | None,
    ) -> None:
        self.vmlinux = vmlinux
        self.move = move
        self._kcore = kcore
        self._relocations = relocations
        self._types = types

    def shipped(self, address: int, size: int) -> bytes:
        """Return the image's bytes as they read at a running address."""
        begin = address - self.move
        if self._relocations is None:
            return self._read(begin, size)
        # A place may begin before the range, or end behind it.
        margin = LONGEST - 1
        data = self._read(begin - margin, size + 2 * margin)
        if not data:  # at the border of a segment
            return self._relocations.applied(self._read(begin, size), begin, self.move)
        return self._relocations.applied(data, begin - margin, self.move)[margin : margin + size]

    def _read(self, address: int, size: int) -> bytes:
        return self.vmlinux.read(address, size) or b""

    def live(self, address: int, size: int) -> bytes:
        """Return bytes of memory."""
        return self._kcore.read(address, size)

    def tables(self, name: str) -> Iterator[tuple[str, int, bytes]]:
        """Yield the sections whose names begin so, and tables inside other sections."""
        if name in BOUNDED:
            begin, end = (self.symbol(bound) for bound in BOUNDED[name])
            if begin is not None and end is not None:
                yield name, begin, self.shipped(begin, end - begin)
        for section, address, _ in self.vmlinux.image.sections():
            if section.startswith(name):
                size = len(self.vmlinux.image.section(section) or b"")
                yield section, address + self.move, self.shipped(address + self.move, size)

    def symbol(self, name: str) -> int | None:
        """Return the running address of the first symbol of a name; per-CPU data stays."""
        found = self.vmlinux.kallsyms.named(name)
        if not found:
            return None
        return found[0].address + (0 if found[0].type in "Aa" else self.move)

    def exported(self, name: str) -> int | None:
        """Return the running address of a global symbol; None without one."""
        for symbol in self.vmlinux.kallsyms.named(name):
            if symbol.type.isupper():
                return symbol.address + (0 if symbol.type == "A" else self.move)
        return None

    def names(self, address: int) -> Sequence[str]:
        """Return the names of the symbols at a running address."""
        return self.vmlinux.names(address - self.move)

    def size_of(self, struct: str) -> int:
        """Return the bytes of a structure; 0 if not known."""
        btf = self.vmlinux.image.section(".BTF")
        sizes = struct_sizes(btf, {struct}, "the kernel") if btf else {}
        return sizes.get(struct, 0)

    def has_feature(self, number: int) -> bool | None:
        """Whether the kernel found a feature, or was told that it has it."""
        bits = self._capabilities
        if number // 8 >= len(bits):
            return None
        return bool(bits[number // 8] >> number % 8 & 1)

    @cached_property
    def _capabilities(self) -> bytes:
        bits = self.vmlinux.arch.live_code.features
        place, data = self._member(bits.struct, bits.member), self.symbol(bits.variable)
        if place is None or data is None:
            return b""
        offset, size = place
        return self.live(data + offset, size)

    def _member(self, struct: str, name: str) -> tuple[int, int] | None:
        """Return offset and size in bytes of an array of numbers of 32 bits in a structure, also if
        it is in a nameless part of it."""
        types = self._types
        if types is None:
            return None
        for number, kind, title, _ in types.own():
            if title == struct and kind == STRUCT:
                return _find(types, number, name)
        return None


STRUCT = 4
"""``BTF_KIND_STRUCT``"""


def _find(types: Btf, number: int, name: str) -> tuple[int, int] | None:
    for title, kind, bits, _ in types.members(number):
        if title == name:
            _, count = types.array(kind)
            return bits // 8, 4 * count
        inner = _find(types, types.plain(kind), name) if not title else None
        if inner is not None:
            return bits // 8 + inner[0], inner[1]
    return None
