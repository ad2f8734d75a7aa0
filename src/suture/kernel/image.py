# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's code and data as shipped: bytes at link addresses, in the state before boot.

Alternatives, jump labels, static calls and fentry sites are as the build left them.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from suture.arch import ElfMachine
from suture.errors import FILE_UNREADABLE, IMAGE_MALFORMED, Refusal
from suture.kernel import elf64
from suture.kernel.elf64 import Layout

BANNER = re.compile(rb"Linux version \d+\.[^\0\n]{1,500} #\d+[^\0\n]{0,200}")
"""``init/version-timestamp.c: linux_banner``.  The weak one of ``init/version.c``, which has no
number after the ``#``, is in the image too."""


@dataclass(frozen=True, slots=True)
class Image:
    """A linked kernel (``vmlinux``), with or without a symbol table.

    :ivar path: the ELF file.
    :ivar banner: the first line of the kernel's log: ``Linux version 6.1.0-50-amd64 (...) (gcc-12
        ...) ...``.
    """

    path: Path
    banner: str
    _data: mmap.mmap
    _layout: Layout

    def read(self, address: int, size: int) -> bytes | None:
        """Return `size` bytes at a link address; zeroes where the file has none (``.bss``), None
        where the range is not in one segment.

        The per-CPU template is linked at address 0, so small addresses are offsets into it.
        """
        for segment in self._layout.segments:
            start = address - segment.address
            if start >= 0 and start + size <= segment.memory_size:
                stored = self._data[
                    segment.offset + start : segment.offset + min(start + size, segment.file_size)
                ]
                return stored.ljust(size, b"\0") if start < segment.file_size else bytes(size)
        return None

    def section(self, name: str) -> bytes | None:
        """Return the bytes of a section such as ``.BTF`` or ``__ksymtab_strings``, or None."""
        for section in self._layout.sections:
            if section.name == name:
                return elf64.contents(self._data, section)
        return None

    def sections(self) -> Iterator[tuple[str, int, bool]]:
        """Yield name, address and whether it is code of each loaded section with contents."""
        for section in self._layout.sections:
            if (
                section.flags & elf64.SHF_ALLOC
                and section.type != elf64.SHT_NOBITS
                and section.size
            ):
                yield section.name, section.address, bool(section.flags & elf64.SHF_EXECINSTR)

    def behind(self) -> bytes:
        """Return what follows the ELF file: in a bootable image, the list of the places that change
        when the kernel moves itself."""
        return self._data[elf64.end(self._data) :]

    @property
    def machine(self) -> ElfMachine:
        """The machine that it is for."""
        return self._layout.machine

    @property
    def release(self) -> str:
        """The output of ``uname -r`` on it, from the banner."""
        return self.banner.split(" ")[2]


def read(path: Path) -> Image:
    """Map a ``vmlinux``.

    :raises Refusal: ``file-unreadable``, ``image-malformed``
    """
    data = map_file(path)
    try:
        layout = elf64.layout(data)
    except elf64.Malformed as error:
        raise Refusal(IMAGE_MALFORMED, str(path), str(error)) from error
    if not layout.segments:
        raise Refusal(IMAGE_MALFORMED, str(path), "it has no segments to load")
    banner = BANNER.search(data)
    if banner is None:
        raise Refusal(IMAGE_MALFORMED, str(path), "it has no 'Linux version' banner")
    return Image(path, banner.group().decode("ascii", "replace"), data, layout)


def map_file(path: Path) -> mmap.mmap:
    """Map a file into memory.

    :raises Refusal: ``file-unreadable``, ``image-malformed`` (it is empty)
    """
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise Refusal(FILE_UNREADABLE, str(path), error.strerror or str(error)) from error
    except ValueError as error:
        raise Refusal(IMAGE_MALFORMED, str(path), "it is empty") from error
