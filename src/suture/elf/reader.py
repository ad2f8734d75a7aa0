# SPDX-License-Identifier: GPL-2.0-or-later
"""Bytes of a relocatable object -> `ObjectFile`.

Headers, symbols and relocations, of which large objects have hundreds of thousands, are unpacked
with one `struct` call per table.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from dataclasses import dataclass
from operator import attrgetter

from suture import arch
from suture.elf.object import (
    SHF_LINK_ORDER,
    SHF_RELA_LIVEPATCH,
    SHN_LORESERVE,
    SHT_GROUP,
    SHT_NOBITS,
    SHT_NULL,
    SHT_REL,
    SHT_RELA,
    SHT_STRTAB,
    SHT_SYMTAB,
    SHT_SYMTAB_SHNDX,
    STT_FUNC,
    STT_OBJECT,
    LivepatchRelocations,
    ObjectFile,
    Relocation,
    Section,
    Symbol,
)
from suture.errors import OBJECT_MALFORMED, OBJECT_UNSUPPORTED, Refusal

MAGIC = b"\x7fELF"
EI_CLASS, EI_DATA, E_MACHINE = 4, 5, 18
"""Offsets in any ELF file."""
CLASSES, ORDERS = {1: 32, 2: 64}, {1: "<", 2: ">"}
"""ELFCLASS32, ELFCLASS64; ELFDATA2LSB, ELFDATA2MSB."""
ET_REL = 1
ELF_TYPES = {0: "ET_NONE", 2: "ET_EXEC", 3: "ET_DYN", 4: "ET_CORE"}
UNSUPPORTED_SECTIONS = {
    SHT_REL: "SHT_REL",
    SHT_GROUP: "SHT_GROUP",
    SHT_SYMTAB_SHNDX: "SHT_SYMTAB_SHNDX",
}
TABLES = (SHT_NULL, SHT_SYMTAB, SHT_STRTAB, SHT_RELA)
"""Sections that describe others: they hold no symbol, and no relocation applies to them."""
LARGEST = 1 << 30
"""Bytes; modules must fit into 1.5 GB of addresses (Documentation/arch/x86/x86_64/mm.rst).  Bytes
that are not in the file (``.bss``, padding) may be a quarter of that."""
LONGEST_NAME = 4096
"""Bytes; the kernel's own limit is 512 (include/linux/kallsyms.h: KSYM_NAME_LEN)."""
HEADER = "16sHHIQQQIHHHHHH"
"""Elf64_Ehdr: e_ident, e_type, e_machine, e_version, e_entry, e_phoff, e_shoff, e_flags, e_ehsize,
e_phentsize, e_phnum, e_shentsize, e_shnum, e_shstrndx."""
SECTION = "IIQQQQIIQQ"
"""Elf64_Shdr: sh_name, sh_type, sh_flags, sh_addr, sh_offset, sh_size, sh_link, sh_info,
sh_addralign, sh_entsize."""
SYMBOL = "IBBHQQ"  # Elf64_Sym: st_name, st_info, st_other, st_shndx, st_value, st_size
RELA = "QQq"  # Elf64_Rela: r_offset, r_info, r_addend


def read(data: bytes, name: str) -> ObjectFile:
    """Read a relocatable object or module.

    :param name: its name in messages.
    :raises Refusal: ``object-malformed`` (not ELF, truncated, inconsistent), ``object-unsupported``
        (well-formed, but not a relocatable object of an architecture that Suture knows, or with
        a construct that the writer does not have)
    """
    try:
        return _read(data, name)
    except struct.error as bad:
        raise Refusal(OBJECT_MALFORMED, name, f"is truncated ({bad})") from bad


def _read(data: bytes, name: str) -> ObjectFile:
    if not data.startswith(MAGIC) or len(data) < arch.IDENTIFIED:
        raise Refusal(OBJECT_MALFORMED, name, "is not an ELF file")
    architecture = arch.of_elf(data[: arch.IDENTIFIED])
    if architecture is None:
        raise _of_another_machine(data, name)
    headers = _headers(data, architecture.machine, name)
    sections = _sections(headers, data, name)
    table = [index for index, section in enumerate(sections) if section.type == SHT_SYMTAB]
    if len(table) != 1:
        raise Refusal(OBJECT_MALFORMED, name, f"has {len(table)} symbol tables")
    symbols = _symbols(sections, table[0], architecture.machine, name)
    relocations, livepatch = _relocations(sections, len(symbols), architecture, name)
    return ObjectFile(name, sections, symbols, relocations, livepatch, machine=architecture.machine)


def _of_another_machine(data: bytes, name: str) -> Refusal:
    """Return the refusal of a file for a machine that Suture does not know."""
    from elftools.elf.enums import ENUM_E_MACHINE

    bits, order = CLASSES.get(data[EI_CLASS]), ORDERS.get(data[EI_DATA])
    if bits is None or order is None:
        found = "has neither 32 nor 64 bits, or no byte order"
        return Refusal(OBJECT_MALFORMED, name, found)
    (number,) = struct.unpack_from(f"{order}H", data, E_MACHINE)
    names = {value: key.removeprefix("EM_") for key, value in ENUM_E_MACHINE.items()}
    machine = names.get(number, f"machine {number}")
    return Refusal(OBJECT_UNSUPPORTED, name, f"is for {machine}, {bits} bits")


@dataclass(frozen=True, slots=True)
class _Headers:
    """The section header table.

    :ivar rows: one ``Elf64_Shdr`` each.
    :ivar names: the bytes of the section names.
    """

    rows: tuple[tuple[int, ...], ...]
    names: bytes


def _headers(data: bytes, machine: arch.ElfMachine, name: str) -> _Headers:
    header = struct.Struct(machine.prefix + HEADER).unpack_from(data)
    kind, offset, size, count, names = header[1], header[6], *header[11:14]
    if kind != ET_REL:
        found = ELF_TYPES.get(kind, kind)
        raise Refusal(
            OBJECT_UNSUPPORTED, name, f"is not a relocatable object (its type is {found})"
        )
    row = struct.Struct(machine.prefix + SECTION)
    if size != row.size:
        raise Refusal(OBJECT_MALFORMED, name, f"has section headers of {size} bytes")
    if not count and offset:
        count = row.unpack_from(data, offset)[5]  # gABI 4.3: too many for e_shnum
    if count > len(data) // row.size:
        raise Refusal(OBJECT_MALFORMED, name, f"claims {count} sections in {len(data)} bytes")
    if count >= SHN_LORESERVE:
        raise Refusal(
            OBJECT_UNSUPPORTED,
            name,
            f"has {count} sections, more than symbols can name",
            remedy="Give the objects of single source files, not one that is linked from many.",
        )
    rows = tuple(row.iter_unpack(_slice(data, offset, count * size, name, "the section headers")))
    if names >= count:
        raise Refusal(OBJECT_MALFORMED, name, "has no section names")
    start, held = rows[names][4:6]
    return _Headers(rows, _slice(data, start, held, name, "the section names"))


def _sections(headers: _Headers, data: bytes, name: str) -> tuple[Section, ...]:
    sections = tuple(_section(row, headers.names, data, name) for row in headers.rows)
    if sum(len(section.data) for section in sections) > len(data):
        # gABI 4.7: no byte resides in two sections.
        raise Refusal(OBJECT_MALFORMED, name, "its sections overlap")
    for section in sections:
        if section.flags & SHF_LINK_ORDER and section.link >= len(sections):
            raise Refusal(
                OBJECT_MALFORMED,
                name,
                f"section {section.name} is ordered by a section that does not exist",
            )
        if (
            section.size > LARGEST
            or section.addralign > LARGEST
            or section.addralign & (section.addralign - 1)
        ):
            raise Refusal(
                OBJECT_MALFORMED,
                name,
                f"section {section.name} has an impossible size or alignment",
            )
    if sum(max(section.addralign, section.size) for section in sections) > LARGEST // 4 + 4 * len(
        data
    ):
        raise Refusal(OBJECT_MALFORMED, name, "its sections have impossible sizes or alignments")
    return sections


def _section(row: tuple[int, ...], names: bytes, data: bytes, name: str) -> Section:
    sh_name, kind, flags, _, offset, size, link, info, addralign, entsize = row
    title = _string(names, sh_name, name)
    if kind in UNSUPPORTED_SECTIONS:
        raise Refusal(
            OBJECT_UNSUPPORTED,
            name,
            f"has section {title} of type {UNSUPPORTED_SECTIONS[kind]}",
            remedy="Give an object that the kernel's own build made: it has no such section.",
        )
    held = b"" if kind in (SHT_NOBITS, SHT_NULL) else _slice(data, offset, size, name, title)
    return Section(title, kind, flags, held, size, addralign, entsize, link, info)


def _symbols(
    sections: tuple[Section, ...], table: int, machine: arch.ElfMachine, name: str
) -> tuple[Symbol, ...]:
    section, entry = sections[table], struct.Struct(machine.prefix + SYMBOL)
    if len(section.data) % entry.size or not section.link < len(sections):
        found = "its symbol table is truncated or has no string table"
        raise Refusal(OBJECT_MALFORMED, name, found)
    strings = sections[section.link].data
    symbols: list[Symbol] = []
    for st_name, info, other, shndx, value, size in entry.iter_unpack(section.data):
        symbol = Symbol(
            _string(strings, st_name, name), value, size, info & 0xF, info >> 4, shndx, other
        )
        if 0 < shndx < SHN_LORESERVE and not _fits(symbol, sections):
            raise Refusal(
                OBJECT_MALFORMED,
                name,
                f"symbol {symbol.name or len(symbols)} lies outside its section",
            )
        if symbol.type == STT_FUNC and symbol.size and _is_empty(symbol, sections):
            raise Refusal(
                OBJECT_UNSUPPORTED,
                name,
                f"has no code for {symbol.name}(), like a file for debuggers",
                remedy="Give the object or module itself, not the file with its debug information.",
            )
        symbols.append(symbol)
    return tuple(symbols)


def _is_empty(symbol: Symbol, sections: tuple[Section, ...]) -> bool:
    return symbol.is_defined_here and sections[symbol.shndx].type == SHT_NOBITS


def _fits(symbol: Symbol, sections: tuple[Section, ...]) -> bool:
    if symbol.shndx >= len(sections) or sections[symbol.shndx].type in TABLES:
        return False
    return (
        symbol.type not in (STT_FUNC, STT_OBJECT)
        or symbol.value + symbol.size <= sections[symbol.shndx].size
    )


def _relocations(
    sections: tuple[Section, ...], symbols: int, architecture: arch.Architecture, name: str
) -> tuple[dict[int, tuple[Relocation, ...]], tuple[LivepatchRelocations, ...]]:
    ordinary: dict[int, list[Relocation]] = defaultdict(list)
    livepatch = []
    entry = struct.Struct(architecture.machine.prefix + RELA)
    widths = {number: kind.size for number, kind in architecture.relocations.types.items()}
    for section in sections:
        if section.type != SHT_RELA:
            continue
        if (
            section.info >= len(sections)
            or sections[section.info].type in TABLES
            or len(section.data) % entry.size
        ):
            raise Refusal(
                OBJECT_MALFORMED,
                name,
                f"section {section.name} is truncated or applies to no section",
            )
        found = []
        size = len(sections[section.info].data)
        for offset, info, addend in entry.iter_unpack(section.data):
            kind = info & 0xFFFFFFFF
            if info >> 32 >= symbols or offset + widths.get(kind, 1) > size:
                raise Refusal(
                    OBJECT_MALFORMED, name, f"a relocation in {section.name} is out of range"
                )
            found.append(Relocation(offset, kind, info >> 32, addend))
        if section.flags & SHF_RELA_LIVEPATCH:
            ordered = tuple(sorted(found, key=attrgetter("offset")))
            livepatch.append(LivepatchRelocations(section.name, section.info, ordered))
        else:
            ordinary[section.info] += found
    by_offset = {
        info: tuple(sorted(found, key=attrgetter("offset"))) for info, found in ordinary.items()
    }
    return by_offset, tuple(livepatch)


def _slice(data: bytes, offset: int, size: int, name: str, what: str) -> bytes:
    if offset + size > len(data):
        raise Refusal(
            OBJECT_MALFORMED,
            name,
            f"is truncated: {what} ends at byte {offset + size} of {len(data)}",
        )
    return data[offset : offset + size]


def _string(strings: bytes, offset: int, name: str) -> str:
    end = strings.find(b"\0", offset, offset + LONGEST_NAME)
    if end < 0:
        raise Refusal(
            OBJECT_MALFORMED,
            name,
            f"a name at offset {offset} lies outside its string table or has no end",
        )
    return strings[offset:end].decode("utf-8", "surrogateescape")
