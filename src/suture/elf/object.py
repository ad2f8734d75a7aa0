# SPDX-License-Identifier: GPL-2.0-or-later
"""A relocatable object file (ELF64) as a value.

Numbers and names are those of the ELF specification (System V gABI, chapter 4).  Indices are the
file's: ``symbol.shndx`` indexes `ObjectFile.sections`, ``relocation.symbol`` indexes
`ObjectFile.symbols`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from suture import arch

# Section types and flags (gABI 4.9, 4.11).
SHT_NULL, SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_RELA = range(5)
SHT_NOTE, SHT_NOBITS, SHT_REL = 7, 8, 9
SHT_GROUP, SHT_SYMTAB_SHNDX = 17, 18
SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR = 0x1, 0x2, 0x4
SHF_MERGE, SHF_STRINGS, SHF_INFO_LINK, SHF_LINK_ORDER = 0x10, 0x20, 0x40, 0x80
SHF_RELA_LIVEPATCH = 0x00100000
"""include/uapi/linux/elf.h: the livepatch core applies the section, not the module loader."""

# Special section indices (gABI 4.8).
SHN_UNDEF, SHN_LORESERVE, SHN_ABS, SHN_COMMON, SHN_XINDEX = 0, 0xFF00, 0xFFF1, 0xFFF2, 0xFFFF
SHN_LIVEPATCH = 0xFF20
"""include/uapi/linux/elf.h: the livepatch core resolves the symbol."""

# Symbol bindings and types (gABI 4.16, 4.17).
STB_LOCAL, STB_GLOBAL, STB_WEAK = 0, 1, 2
STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_SECTION, STT_FILE, STT_COMMON, STT_TLS = 0, 1, 2, 3, 4, 5, 6

WORD = 8
"""Bytes of an address: all files are ELFCLASS64."""


@dataclass(frozen=True, slots=True)
class Section:
    """A section header and its contents.

    :ivar data: the bytes; empty for ``SHT_NOBITS``, which still has a `size`.
    :ivar link, info: as in the header; meaningless for sections that the writer generates.
    """

    name: str
    type: int
    flags: int
    data: bytes
    size: int
    addralign: int = 1
    entsize: int = 0
    link: int = 0
    info: int = 0

    @property
    def is_code(self) -> bool:
        """Whether it holds instructions."""
        return bool(self.flags & SHF_EXECINSTR)

    @property
    def is_allocated(self) -> bool:
        """Whether it is in memory at run time."""
        return bool(self.flags & SHF_ALLOC)

    @property
    def is_strings(self) -> bool:
        """Whether it holds NUL-terminated strings that the linker may merge, so that only their
        contents identify them."""
        return bool(self.flags & SHF_STRINGS and self.flags & SHF_MERGE)


@dataclass(frozen=True, slots=True)
class Symbol:
    """One symbol table entry; `value` is the offset into its section (gABI 4.19, relocatable
    files)."""

    name: str
    value: int
    size: int
    type: int
    bind: int
    shndx: int
    other: int = 0

    @property
    def is_undefined(self) -> bool:
        """Whether another file defines it."""
        return self.shndx == SHN_UNDEF

    @property
    def is_defined_here(self) -> bool:
        """Whether it is a place in one of the file's sections."""
        return SHN_UNDEF < self.shndx < SHN_LORESERVE


class Relocation(NamedTuple):
    """One ``Elf64_Rela``: `offset` into the section that it applies to, `symbol` an index, `addend`
    signed.

    Relocations are tuples because a large object has a million of them.
    """

    offset: int
    type: int
    symbol: int
    addend: int


@dataclass(frozen=True, slots=True)
class LivepatchRelocations:
    """A ``.klp.rela.<objname>.<section>``: relocations that the core applies to `section` once
    `objname` is loaded (``Documentation/livepatch/module-elf-format.rst``, section 3)."""

    name: str
    section: int
    relocations: tuple[Relocation, ...]


@dataclass(frozen=True, slots=True)
class ObjectFile:
    """A whole relocatable object.

    :ivar name: its name in messages.
    :ivar sections: by section header index; index 0 is the null section.
    :ivar symbols: by symbol table index; index 0 is the null symbol.
    :ivar relocations: section index -> its relocations, by ascending offset.
    :ivar livepatch: the livepatch relocation sections of a livepatch module.
    :ivar machine: the machine that it is for, one that `suture.arch` knows.
    """

    name: str
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    relocations: Mapping[int, tuple[Relocation, ...]]
    livepatch: tuple[LivepatchRelocations, ...] = ()
    machine: arch.ElfMachine = field(kw_only=True)

    @property
    def arch(self) -> arch.Architecture:
        """Its architecture."""
        return arch.of(self.machine)

    def section_named(self, name: str) -> int | None:
        """Return the index of the first section of a name, or None."""
        return next(
            (index for index, section in enumerate(self.sections) if section.name == name), None
        )

    def symbols_of_type(self, *types: int) -> Iterator[tuple[int, Symbol]]:
        """Yield the symbols of these types that a section holds, with their indices."""
        return ((i, s) for i, s in enumerate(self.symbols) if s.type in types and s.is_defined_here)
