# SPDX-License-Identifier: GPL-2.0-or-later
"""An object file under construction: sections that grow, symbols, relocations."""

from __future__ import annotations

from dataclasses import dataclass, field

from suture.elf.object import (
    SHF_MERGE,
    SHF_STRINGS,
    SHN_UNDEF,
    STB_LOCAL,
    STT_SECTION,
    ObjectFile,
    Relocation,
    Section,
    Symbol,
)


@dataclass(slots=True)
class _Growing:
    name: str
    type: int
    flags: int
    align: int
    entsize: int
    data: bytearray = field(default_factory=bytearray)
    size: int = 0
    relocations: list[Relocation] = field(default_factory=list)


class Builder:
    """Sections and symbols are known by the indices that they will have in the object file."""

    def __init__(self) -> None:
        self._sections: list[_Growing] = []
        self._symbols: list[Symbol] = [Symbol("", 0, 0, 0, 0, SHN_UNDEF)]
        self._section_symbols: dict[int, int] = {}
        self._pools: dict[str, int] = {}
        self._pooled: dict[tuple[str, bytes], int] = {}

    def add_section(self, like: Section, name: str) -> int:
        """An empty section with the type, flags and alignment of another."""
        self._sections.append(_Growing(name, like.type, like.flags, like.addralign, like.entsize))
        return len(self._sections)

    def pool(self, like: Section) -> int:
        """The one section of that name that collects pieces of `like`."""
        if like.name not in self._pools:
            self._pools[like.name] = self.add_section(like, like.name)
        return self._pools[like.name]

    def append(self, section: int, data: bytes, align: int = 1) -> int:
        """:return: the offset that `data` came to stand at."""
        growing = self._sections[section - 1]
        growing.data += bytes(-len(growing.data) % max(align, 1))
        start = len(growing.data)
        growing.data += data
        growing.size = len(growing.data)
        return start

    def reserve(self, section: int, size: int) -> None:
        """Give an ``SHT_NOBITS`` section its size."""
        self._sections[section - 1].size = size

    def literal(self, like: Section, content: bytes) -> tuple[int, int]:
        """Equal strings and constants are stored once.

        The linker is not asked to merge them again: it would go by the addend of a PC-relative relocation, which does
        not say which string is meant.

        :return: section and offset.
        """
        kind = f"str{like.entsize}.{like.addralign}" if like.is_strings else f"cst{like.entsize}"
        name = f".rodata.{kind}"
        plain = Section(name, like.type, like.flags & ~(SHF_MERGE | SHF_STRINGS), b"", 0, like.addralign)
        section = self.pool(plain)
        if (name, content) not in self._pooled:
            self._pooled[name, content] = self.append(section, content, like.addralign)
        return section, self._pooled[name, content]

    def add_symbol(self, symbol: Symbol) -> int:
        self._symbols.append(symbol)
        return len(self._symbols) - 1

    def section_symbol(self, section: int) -> int:
        if section not in self._section_symbols:
            self._section_symbols[section] = self.add_symbol(Symbol("", 0, 0, STT_SECTION, STB_LOCAL, section))
        return self._section_symbols[section]

    def add_relocation(self, section: int, relocation: Relocation) -> None:
        self._sections[section - 1].relocations.append(relocation)

    def finish(self, name: str) -> ObjectFile:
        sections = (
            Section("", 0, 0, b"", 0),
            *(Section(s.name, s.type, s.flags, bytes(s.data), s.size, s.align, s.entsize) for s in self._sections),
        )
        relocations = {
            index: tuple(sorted(section.relocations, key=lambda r: r.offset))
            for index, section in enumerate(self._sections, start=1)
            if section.relocations
        }
        return ObjectFile(name, sections, tuple(self._symbols), relocations)
