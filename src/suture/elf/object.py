# SPDX-License-Identifier: GPL-2.0-or-later
"""A relocatable object file (ELF64) as a value.

Numbers and names are those of the ELF specification (System V gABI, chapter 4).  Indices are kept as they stand in the file: ``symbol.shndx`` indexes `ObjectFile.sections`,
``relocation.symbol`` indexes `ObjectFile.symbols`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from suture import arch

# Section types and flags (gABI 4.9, 4.11).
SHT_NULL, SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_RELA, SHT_NOTE, SHT_NOBITS, SHT_REL = (
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    9,
)
SHT_GROUP, SHT_SYMTAB_SHNDX = 17, 18
SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR, SHF_MERGE, SHF_STRINGS, SHF_INFO_LINK = (
    0x1,
    0x2,
    0x4,
    0x10,
    0x20,
    0x40,
)
SHF_LINK_ORDER = 0x80
SHF_RELA_LIVEPATCH = 0x00100000
"""include/uapi/linux/elf.h: the core applies the section, not the module loader."""

# Special section indices (gABI 4.8).
SHN_UNDEF, SHN_LORESERVE, SHN_ABS, SHN_COMMON, SHN_XINDEX = 0, 0xFF00, 0xFFF1, 0xFFF2, 0xFFFF
SHN_LIVEPATCH = 0xFF20
"""include/uapi/linux/elf.h: the symbol is resolved by the livepatch core."""

# Symbol bindings and types (gABI 4.16, 4.17).
STB_LOCAL, STB_GLOBAL, STB_WEAK = 0, 1, 2
STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_SECTION, STT_FILE, STT_COMMON, STT_TLS = 0, 1, 2, 3, 4, 5, 6

WORD = 8
"""Bytes of an address: all that is read and written is ELFCLASS64."""


@dataclass(frozen=True, slots=True)
class Section:
    """A section header and its contents.

    :ivar data: the bytes; empty for ``SHT_NOBITS``, whose `size` counts all the same.
    :ivar link, info: as in the header; meaningless for sections that the writer makes anew.
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
        return bool(self.flags & SHF_EXECINSTR)

    @property
    def is_allocated(self) -> bool:
        return bool(self.flags & SHF_ALLOC)

    @property
    def is_strings(self) -> bool:
        """Holds NUL-terminated strings that the linker may merge: only their contents identify
        them."""
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
        return self.shndx == SHN_UNDEF

    @property
    def is_defined_here(self) -> bool:
        """Stands for a place in one of the file's sections."""
        return SHN_UNDEF < self.shndx < SHN_LORESERVE


class Relocation(NamedTuple):
    """One ``Elf64_Rela``: `offset` into the section it applies to, `symbol` an index, `addend`
    signed.

    A large object has a million of them, so they are tuples."""

    offset: int
    type: int
    symbol: int
    addend: int


@dataclass(frozen=True, slots=True)
class LivepatchRelocations:
    """A ``.klp.rela.<objname>.<section>``: relocations that the core applies to `section` once
    `objname` is there.

    ``Documentation/livepatch/module-elf-format.rst``, section 3.
    """

    name: str
    section: int
    relocations: tuple[Relocation, ...]


@dataclass(frozen=True, slots=True)
class ObjectFile:
    """A whole relocatable object.

    :ivar name: what to call it in messages.
    :ivar sections: by section header index; index 0 is the null section.
    :ivar symbols: by symbol table index; index 0 is the null symbol.
    :ivar relocations: section index -> its relocations, by ascending offset.
    :ivar livepatch: the livepatch relocation sections of a livepatch module.
    :ivar machine: what it is for; `suture.arch` knows it.
    """

    name: str
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    relocations: Mapping[int, tuple[Relocation, ...]]
    livepatch: tuple[LivepatchRelocations, ...] = ()
    machine: arch.ElfMachine = field(kw_only=True)

    @property
    def arch(self) -> arch.Architecture:
        """All that its architecture differs in from others."""
        return arch.of(self.machine)

    def section_named(self, name: str) -> int | None:
        """The index of the first section of that name."""
        return next(
            (index for index, section in enumerate(self.sections) if section.name == name), None
        )

    def symbols_of_type(self, *types: int) -> Iterator[tuple[int, Symbol]]:
        """Symbols of these types that stand in a section, with their indices."""
        return ((i, s) for i, s in enumerate(self.symbols) if s.type in types and s.is_defined_here)
