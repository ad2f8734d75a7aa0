# SPDX-License-Identifier: GPL-2.0-or-later
"""Bytes of a relocatable object -> `ObjectFile`.

pyelftools reads the headers; symbols and relocations, of which large objects have hundreds of
thousands, are unpacked with one `struct` call per table.
"""

from __future__ import annotations

import io
import struct
from collections import defaultdict
from operator import attrgetter

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

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

ET_REL = 1
TABLES = (SHT_NULL, SHT_SYMTAB, SHT_STRTAB, SHT_RELA)
"""Sections that describe the others: no symbol stands in them, and no relocation applies to
them."""
LARGEST = 1 << 30
"""Bytes; modules have to fit into 1.5 GB of addresses (Documentation/arch/x86/x86_64/mm.rst).  What
a file does not hold itself (``.bss``, padding) is a quarter of that at most."""
LONGEST_NAME = 4096
"""Bytes; the kernel's own limit is 512 (include/linux/kallsyms.h: KSYM_NAME_LEN)."""
SYMBOL = "IBBHQQ"  # Elf64_Sym: st_name, st_info, st_other, st_shndx, st_value, st_size
RELA = "QQq"  # Elf64_Rela: r_offset, r_info, r_addend


def read(data: bytes, name: str) -> ObjectFile:
    """Read a relocatable object or module.

    :param name: what to call it in messages.
    :raises Refusal: ``object-malformed`` (not ELF, truncated, inconsistent), ``object-unsupported``
        (well-formed, but not a relocatable object of an architecture that Suture knows, or with
        a construct that we cannot carry)
    """
    try:
        return _read(data, name)
    except Refusal:
        raise
    except (
        ELFError,
        struct.error,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        OverflowError,
        OSError,
    ) as bad:
        # pyelftools meets damaged headers with any of these.
        raise Refusal(
            OBJECT_MALFORMED, name, f"cannot be read as an ELF object ({type(bad).__name__}: {bad})"
        ) from bad


def _read(data: bytes, name: str) -> ObjectFile:
    elf = ELFFile(io.BytesIO(data))
    architecture = arch.of_elf(data[: arch.IDENTIFIED])
    if architecture is None:
        raise Refusal(
            OBJECT_UNSUPPORTED, name, f"is for {elf.get_machine_arch()}, {elf.elfclass} bits"
        )
    if elf["e_type"] not in ("ET_REL", ET_REL):
        raise Refusal(
            OBJECT_UNSUPPORTED, name, f"is not a relocatable object (its type is {elf['e_type']})"
        )
    sections = _sections(elf, data, name)
    table = [index for index, section in enumerate(sections) if section.type == SHT_SYMTAB]
    if len(table) != 1:
        raise Refusal(OBJECT_MALFORMED, name, f"has {len(table)} symbol tables")
    symbols = _symbols(sections, table[0], architecture.machine, name)
    relocations, livepatch = _relocations(sections, len(symbols), architecture, name)
    return ObjectFile(name, sections, symbols, relocations, livepatch, machine=architecture.machine)


def _sections(elf: ELFFile, data: bytes, name: str) -> tuple[Section, ...]:
    count = elf.num_sections()
    if count > len(data) // 64:  # each takes a 64-byte header
        raise Refusal(OBJECT_MALFORMED, name, f"claims {count} sections in {len(data)} bytes")
    if count >= SHN_LORESERVE:
        raise Refusal(OBJECT_UNSUPPORTED, name, f"has {count} sections, more than symbols can name")
    names_header = elf._get_section_header(elf.get_shstrndx())
    names = _slice(
        data, names_header["sh_offset"], names_header["sh_size"], name, "the section names"
    )
    sections = tuple(
        _section(dict(elf._get_section_header(index)), names, data, name) for index in range(count)
    )
    if sum(len(section.data) for section in sections) > len(data):
        raise Refusal(
            OBJECT_MALFORMED, name, "its sections overlap"
        )  # gABI 4.7: no byte resides in two
    for section in sections:
        if section.flags & SHF_LINK_ORDER and section.link >= count:
            raise Refusal(
                OBJECT_MALFORMED,
                name,
                f"section {section.name} is ordered by one that is not there",
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


def _section(header: dict[str, int | str], names: bytes, data: bytes, name: str) -> Section:
    field = {key: value for key, value in header.items() if isinstance(value, int)}
    kind = _type_number(header["sh_type"])
    title = _string(names, field["sh_name"], name)
    if kind in (SHT_GROUP, SHT_SYMTAB_SHNDX, SHT_REL):
        raise Refusal(OBJECT_UNSUPPORTED, name, f"has section {title} of type {header['sh_type']}")
    held = (
        b""
        if kind in (SHT_NOBITS, SHT_NULL)
        else _slice(data, field["sh_offset"], field["sh_size"], name, title)
    )
    return Section(
        name=title,
        type=kind,
        flags=field["sh_flags"],
        data=held,
        size=field["sh_size"],
        addralign=field["sh_addralign"],
        entsize=field["sh_entsize"],
        link=field["sh_link"],
        info=field["sh_info"],
    )


def _type_number(value: int | str) -> int:
    """pyelftools gives known section types as names."""
    from elftools.elf.enums import ENUM_SH_TYPE_BASE

    return value if isinstance(value, int) else int(ENUM_SH_TYPE_BASE[value])


def _symbols(
    sections: tuple[Section, ...], table: int, machine: arch.ElfMachine, name: str
) -> tuple[Symbol, ...]:
    section, entry = sections[table], struct.Struct(machine.prefix + SYMBOL)
    if len(section.data) % entry.size or not section.link < len(sections):
        raise Refusal(OBJECT_MALFORMED, name, "its symbol table is cut off or has no string table")
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
                f"symbol {symbol.name or len(symbols)} stands outside its section",
            )
        if symbol.type == STT_FUNC and symbol.size and _is_empty(symbol, sections):
            raise Refusal(
                OBJECT_UNSUPPORTED,
                name,
                f"holds no code for {symbol.name}(), as a file for debuggers does",
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
                f"section {section.name} is cut off or applies to no section",
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
