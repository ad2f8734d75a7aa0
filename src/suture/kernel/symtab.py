# SPDX-License-Identifier: GPL-2.0-or-later
"""A kallsyms listing from the symbol table of a linked kernel, for trees and images that have one.

Symbols are in order of address, which is the kernel's order except for aliases at one address
(``scripts/kallsyms.c: compare_symbols``); aliases name one thing, so ``sympos`` has the same
meaning.
"""

from __future__ import annotations

import struct

from suture.errors import KALLSYMS_MALFORMED, Refusal
from suture.kernel import elf64
from suture.kernel.elf64 import (
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHF_WRITE,
    SHT_NOBITS,
    SHT_SYMTAB,
    SYMBOL,
    Bytes,
    ImageSection,
)

SHN_UNDEF = 0
SHN_ABS = 0xFFF1
STB_LOCAL, STB_WEAK = 0, 2
STT_SECTION, STT_FILE = 3, 4

PERCPU_SECTION = ".data..percpu"
"""Linked at 0, so that addresses in it are offsets; ``scripts/kallsyms.c`` makes its symbols
absolute."""


def has_table(data: Bytes, where: str) -> bool:
    """Whether a linked kernel has its symbol table.

    :raises Refusal: ``kallsyms-malformed``
    """
    try:
        return any(section.type == SHT_SYMTAB for section in elf64.layout(data).sections)
    except elf64.Malformed as error:
        raise Refusal(KALLSYMS_MALFORMED, where, str(error)) from error


def listing(data: Bytes, where: str) -> bytes | None:
    """Return the symbols in the form of ``/proc/kallsyms``, or None for a stripped file.

    :raises Refusal: ``kallsyms-malformed``
    """
    try:
        layout = elf64.layout(data)
        sections, entry = layout.sections, struct.Struct(layout.machine.prefix + SYMBOL)
        table = next((section for section in sections if section.type == SHT_SYMTAB), None)
        if table is None:
            return None
        if table.link >= len(sections) or table.size % entry.size:
            raise elf64.Malformed("its symbol table is damaged")
        symbols = _symbols(
            elf64.contents(data, table), elf64.contents(data, sections[table.link]), sections, entry
        )
    except elf64.Malformed as error:
        raise Refusal(KALLSYMS_MALFORMED, where, str(error)) from error
    symbols.sort(key=lambda symbol: symbol[0])
    return "".join(f"{address:016x} {kind} {name}\n" for address, kind, name in symbols).encode()


def _symbols(
    table: bytes, names: bytes, sections: tuple[ImageSection, ...], entry: struct.Struct
) -> list[tuple[int, str, str]]:
    letters = [_letter(section) for section in sections]
    symbols = []
    for name, info, _, index, value, _ in entry.iter_unpack(table):
        binding, kind = info >> 4, info & 0xF
        if index == SHN_UNDEF or kind in (STT_SECTION, STT_FILE) or not name:
            continue
        letter = letters[index] if index < len(letters) else "a" if index == SHN_ABS else "?"
        text = elf64.string(names, name)
        if not letter or not text.isprintable() or " " in text:
            continue
        if binding == STB_WEAK:
            letter = "W"
        elif binding != STB_LOCAL:
            letter = letter.upper()
        symbols.append((value, letter, text))
    return symbols


def _letter(section: ImageSection) -> str:
    """Return nm(1)'s letter for a local symbol of a section; "" if the running kernel does not have
    the section."""
    if not section.flags & SHF_ALLOC:
        return ""
    if section.name == PERCPU_SECTION:
        return "A"
    if section.flags & SHF_EXECINSTR:
        return "t"
    if section.type == SHT_NOBITS:
        return "b"
    return "d" if section.flags & SHF_WRITE else "r"
