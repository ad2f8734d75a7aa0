# SPDX-License-Identifier: GPL-2.0-or-later
"""`ObjectFile` -> bytes of a relocatable object.

Symbol, string and relocation sections are generated from the values; all other sections are written
unchanged.  Layout: header, contents in section order, section headers.  Local symbols come before
the others, as gABI 4.17 demands.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace

from suture.arch import ElfMachine
from suture.elf.object import (
    SHF_ALLOC,
    SHF_INFO_LINK,
    SHF_LINK_ORDER,
    SHF_RELA_LIVEPATCH,
    SHN_LORESERVE,
    SHT_NOBITS,
    SHT_RELA,
    SHT_STRTAB,
    SHT_SYMTAB,
    STB_LOCAL,
    ObjectFile,
    Relocation,
    Section,
    Symbol,
)

EHDR_SIZE, SHDR_SIZE = 64, 64
MADE_ANEW = {SHT_SYMTAB, SHT_RELA}
STRING_TABLES = {".strtab", ".shstrtab"}


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Old index -> new index, of sections and of symbols."""

    sections: Mapping[int, int]
    symbols: Mapping[int, int]


def write(obj: ObjectFile) -> bytes:
    """Return the file's bytes.  To read them gives the same sections, symbols and relocations."""
    kept = [i for i, s in enumerate(obj.sections) if i and not _is_made_anew(s)]
    order = sorted(range(1, len(obj.symbols)), key=lambda i: obj.symbols[i].bind != STB_LOCAL)
    numbers = _Numbers(
        sections={old: new for new, old in enumerate(kept, start=1)},
        symbols={0: 0} | {old: new for new, old in enumerate(order, start=1)},
    )
    sections = [_relinked(obj.sections[i], numbers) for i in kept]
    symtab = len(sections) + 1
    symbols = [_renumbered(obj.symbols[i], numbers) for i in order]
    locals_end = 1 + sum(symbol.bind == STB_LOCAL for symbol in symbols)
    strings, entry = _Strings(), struct.Struct(f"{obj.machine.prefix}IBBHQQ")
    table = bytes(24) + b"".join(_symbol(symbol, strings, entry) for symbol in symbols)
    sections.append(
        _section(".symtab", SHT_SYMTAB, table, 8, entsize=24, link=symtab + 1, info=locals_end)
    )
    sections.append(_section(".strtab", SHT_STRTAB, strings.data(), 1))
    rela = _RelocationSections(numbers, symtab, struct.Struct(f"{obj.machine.prefix}QQQ"))
    for old in kept:
        if obj.relocations.get(old):
            name = f".rela{obj.sections[old].name}"
            sections.append(rela.section(name, obj.relocations[old], numbers.sections[old], 0))
    for group in obj.livepatch:
        flags = SHF_ALLOC | SHF_RELA_LIVEPATCH
        into = numbers.sections[group.section]
        sections.append(rela.section(group.name, group.relocations, into, flags))
    return _file(sections, obj.machine)


def _is_made_anew(section: Section) -> bool:
    return section.type in MADE_ANEW or (
        section.type == SHT_STRTAB and section.name in STRING_TABLES
    )


class _Strings:
    """A string table under construction; equal strings share one place."""

    def __init__(self) -> None:
        self._offsets: dict[str, int] = {"": 0}
        self._data = bytearray(b"\0")

    def add(self, text: str) -> int:
        """Return the offset of a string; add the string if it is new."""
        if text not in self._offsets:
            self._offsets[text] = len(self._data)
            self._data += text.encode("utf-8", "surrogateescape") + b"\0"
        return self._offsets[text]

    def data(self) -> bytes:
        """Return the table's bytes."""
        return bytes(self._data)


def _section(
    name: str,
    type: int,
    data: bytes,
    align: int,
    *,
    flags: int = 0,
    entsize: int = 0,
    link: int = 0,
    info: int = 0,
) -> Section:
    return Section(name, type, flags, data, len(data), align, entsize, link, info)


def _relinked(section: Section, numbers: _Numbers) -> Section:
    """Return a section with a new `link`, which means something only with ``SHF_LINK_ORDER`` in the
    sections that are kept (gABI figure 4-12)."""
    return replace(
        section,
        link=numbers.sections.get(section.link, 0) if section.flags & SHF_LINK_ORDER else 0,
        info=0,
    )


def _renumbered(symbol: Symbol, numbers: _Numbers) -> Symbol:
    return (
        replace(symbol, shndx=numbers.sections[symbol.shndx]) if symbol.is_defined_here else symbol
    )


def _symbol(symbol: Symbol, strings: _Strings, entry: struct.Struct) -> bytes:
    return entry.pack(
        strings.add(symbol.name),  # st_name
        symbol.bind << 4 | symbol.type,  # st_info
        symbol.other,  # st_other
        symbol.shndx,  # st_shndx
        symbol.value,  # st_value
        symbol.size,  # st_size
    )


@dataclass(frozen=True, slots=True)
class _RelocationSections:
    """Makes relocation sections.

    :ivar symtab: index of the symbol table.
    :ivar entry: the format of an ``Elf64_Rela``.
    """

    numbers: _Numbers
    symtab: int
    entry: struct.Struct

    def section(
        self, name: str, relocations: tuple[Relocation, ...], into: int, flags: int
    ) -> Section:
        """Return the section of the relocations that apply to section `into`."""
        data = b"".join(map(self._rela, relocations))
        flags |= SHF_INFO_LINK
        return _section(
            name, SHT_RELA, data, 8, flags=flags, entsize=24, link=self.symtab, info=into
        )

    def _rela(self, relocation: Relocation) -> bytes:
        return self.entry.pack(
            relocation.offset,  # r_offset
            self.numbers.symbols[relocation.symbol] << 32 | relocation.type,  # r_info
            relocation.addend % 2**64,  # r_addend: an Elf64_Sxword, and addresses are modulo 2**64
        )


def _file(sections: list[Section], machine: ElfMachine) -> bytes:
    names = _Strings()
    name_offsets = [names.add(section.name) for section in sections]
    name_offsets.append(names.add(".shstrtab"))
    sections = [*sections, _section(".shstrtab", SHT_STRTAB, names.data(), 1)]
    if len(sections) + 1 >= SHN_LORESERVE:
        raise ValueError("more sections than e_shnum can hold; extended numbering is not written")
    body = bytearray(EHDR_SIZE)
    headers = [bytes(SHDR_SIZE)]
    for section, name in zip(sections, name_offsets, strict=True):
        align = max(section.addralign, 1)
        body += bytes(-len(body) % align)
        headers.append(_header(section, name, len(body), machine))
        if section.type != SHT_NOBITS:
            body += section.data
    body += bytes(-len(body) % 8)
    body[:EHDR_SIZE] = _ehdr(len(body), len(headers), machine)
    return bytes(body) + b"".join(headers)


def _header(section: Section, name: int, offset: int, machine: ElfMachine) -> bytes:
    return struct.pack(
        f"{machine.prefix}IIQQQQIIQQ",
        name,  # sh_name
        section.type,  # sh_type
        section.flags,  # sh_flags
        0,  # sh_addr
        offset,  # sh_offset
        section.size,  # sh_size
        section.link,  # sh_link
        section.info,  # sh_info
        section.addralign,  # sh_addralign
        section.entsize,  # sh_entsize
    )


def _ehdr(section_headers: int, count: int, machine: ElfMachine) -> bytes:
    return struct.pack(
        f"{machine.prefix}16sHHIQQQIHHHHHH",
        machine.ident,  # e_ident: ELFCLASS64, ELFDATA2LSB or -MSB, EV_CURRENT
        1,  # e_type: ET_REL
        machine.number,  # e_machine
        1,  # e_version
        0,  # e_entry
        0,  # e_phoff
        section_headers,  # e_shoff
        0,  # e_flags
        EHDR_SIZE,  # e_ehsize
        0,  # e_phentsize
        0,  # e_phnum
        SHDR_SIZE,  # e_shentsize
        count,  # e_shnum
        count - 1,  # e_shstrndx
    )
