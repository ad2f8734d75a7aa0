# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of 64-bit ELF that a linked kernel has: segments, sections and the symbol table.

A kernel image has no relocations, but tens of megabytes and a hundred thousand symbols, so it is
read through a memory map and in bulk.  Field order is that of elf(5).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from suture import arch

Bytes = bytes | mmap.mmap

HEADER = "16sHHIQQQIHHHHHH"
SEGMENT = "IIQQQQQQ"
SECTION = "IIQQQQIIQQ"
SYMBOL = "IBBHQQ"

LONGEST_NAME = 4096
"""Bytes; the kernel's own limit is 512 (include/linux/kallsyms.h: KSYM_NAME_LEN)."""

PT_LOAD = 1
SHT_SYMTAB = 2
SHT_NOBITS = 8
SHF_WRITE = 1
SHF_ALLOC = 2
SHF_EXECINSTR = 4


class Malformed(ValueError):
    """The file is malformed; the text says how, and the caller knows which file."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A ``PT_LOAD`` program header: `file_size` bytes at `offset` of the file appear at `address`,
    then zeroes."""

    offset: int
    address: int
    file_size: int
    memory_size: int


@dataclass(frozen=True, slots=True)
class ImageSection:
    """A section header (``Elf64_Shdr``); `offset` and `size` of its contents in the file."""

    name: str
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int


@dataclass(frozen=True, slots=True)
class Layout:
    """An ELF file's machine, and where its contents are."""

    machine: arch.ElfMachine
    segments: tuple[Segment, ...]
    sections: tuple[ImageSection, ...]


def layout(data: Bytes) -> Layout:
    """Read the segments and sections of an ELF file, each of which is wholly inside it.

    :raises Malformed: it is not an ELF file of a known machine, or a header points outside it.
    """
    size, head = struct.calcsize(f"<{HEADER}"), data[: arch.IDENTIFIED]
    machine = arch.identify(head)
    if len(data) < size or machine is None or not head.startswith(machine.ident):
        raise Malformed("it is not a 64-bit ELF file")
    if arch.of_elf(head) is None:
        raise Malformed(
            f"it is for ELF machine {machine.number} ({machine.order}-endian), "
            "which Suture does not know"
        )
    (_, _, _, _, _, phoff, shoff, _, _, phentsize, phnum, shentsize, shnum, shstrndx) = (
        struct.unpack(machine.prefix + HEADER, data[:size])
    )
    segment, section = (struct.Struct(machine.prefix + form) for form in (SEGMENT, SECTION))
    return Layout(
        machine,
        tuple(_segments(data, phoff, phentsize, phnum, segment)),
        _sections(data, shoff, shentsize, shnum, shstrndx, section),
    )


def end(data: Bytes) -> int:
    """Return where the section headers of an ELF file that `layout` has read end."""
    machine = arch.identify(data[: arch.IDENTIFIED])
    assert machine is not None, "it was read"
    form = struct.Struct(machine.prefix + HEADER)
    (_, _, _, _, _, _, offset, _, _, _, _, size, count, _) = form.unpack(data[: form.size])
    found: int = offset + size * count
    return found


def contents(data: Bytes, section: ImageSection) -> bytes:
    """Return a section's bytes; b"" for ``SHT_NOBITS``."""
    return (
        b"" if section.type == SHT_NOBITS else data[section.offset : section.offset + section.size]
    )


def string(table: bytes, offset: int) -> str:
    """Return the string at an offset of a string table.

    :raises Malformed: it begins outside the table or does not end in it.
    """
    end = table.find(b"\0", offset, offset + LONGEST_NAME)
    if end < 0:
        raise Malformed(f"a name at {offset:#x} is outside its string table or has no end")
    return table[offset:end].decode("ascii", "replace")


def _segments(
    data: Bytes, offset: int, entry_size: int, count: int, entry: struct.Struct
) -> Iterator[Segment]:
    _inside(data, offset, entry_size * count, "program headers")
    if count and entry_size != entry.size:
        raise Malformed(f"its program headers have {entry_size} bytes each, not {entry.size}")
    table = data[offset : offset + entry_size * count]
    for kind, _, start, address, _, file_size, memory_size, _ in entry.iter_unpack(table):
        if kind == PT_LOAD:
            _inside(data, start, file_size, f"the segment for {address:#x}")
            yield Segment(start, address, file_size, memory_size)


def _sections(
    data: Bytes, offset: int, entry_size: int, count: int, names: int, entry: struct.Struct
) -> tuple[ImageSection, ...]:
    if count == 0:
        return ()
    if entry_size != entry.size:
        raise Malformed(f"its section headers have {entry_size} bytes each, not {entry.size}")
    _inside(data, offset, entry_size * count, "section headers")
    headers = list(entry.iter_unpack(data[offset : offset + entry_size * count]))
    if names >= count:
        raise Malformed("its section names are missing")
    _, _, _, _, strings_offset, strings_size, *_ = headers[names]
    _inside(data, strings_offset, strings_size, "section names")
    strings = data[strings_offset : strings_offset + strings_size]
    sections = []
    for name, kind, flags, address, start, size, link, *_ in headers:
        if kind not in (0, SHT_NOBITS):
            _inside(data, start, size, "a section")
        sections.append(
            ImageSection(string(strings, name), kind, flags, address, start, size, link)
        )
    return tuple(sections)


def _inside(data: Bytes, offset: int, size: int, what: str) -> None:
    if offset + size > len(data):
        raise Malformed(
            f"{what} should end at byte {offset + size:,}, but the file ends at {len(data):,}"
        )
