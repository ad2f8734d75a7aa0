# SPDX-License-Identifier: GPL-2.0-or-later
"""An object file under construction: sections that grow, symbols, relocations."""

from __future__ import annotations

from dataclasses import dataclass, field

from suture import arch
from suture.elf.object import (
    SHF_LINK_ORDER,
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
    """A section under construction."""

    name: str
    type: int
    flags: int
    align: int
    entsize: int
    data: bytearray = field(default_factory=bytearray)
    size: int = 0
    link: int = 0
    relocations: list[Relocation] = field(default_factory=list)


class Builder:
    """Builds an object file; sections and symbols are known by their future indices in it."""

    def __init__(self, machine: arch.ElfMachine) -> None:
        self._machine = machine
        self._types = arch.of(machine).relocations.types
        self._sections: list[_Growing] = []
        self._symbols: list[Symbol] = [Symbol("", 0, 0, 0, 0, SHN_UNDEF)]
        self._section_symbols: dict[int, int] = {}
        self._pools: dict[tuple[str, int], int] = {}
        self._pooled: dict[tuple[str, bytes], int] = {}

    def add_section(self, like: Section, name: str) -> int:
        """Add an empty section with the type, flags and alignment of another; return its index."""
        self._sections.append(_Growing(name, like.type, like.flags, like.addralign, like.entsize))
        return len(self._sections)

    def pool(self, like: Section, about: int = 0) -> int:
        """Return the section that collects the pieces of a section; it is added on first use.

        :param about: the section of code that the pieces are about.  ``SHF_LINK_ORDER`` requires
            one section for each (``__patchable_function_entries``), and ld does not mix such
            sections with others.
        """
        link = about if like.flags & SHF_LINK_ORDER else 0
        if (like.name, link) not in self._pools:
            self._pools[like.name, link] = self.add_section(like, like.name)
            self._sections[-1].link = link
        return self._pools[like.name, link]

    def append(self, section: int, data: bytes, align: int = 1) -> int:
        """Append data to a section; return its offset."""
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
        """Store a string or constant, equal ones once; return its section and offset.

        The section is not mergeable: the linker would use the addend of a PC-relative relocation,
        which does not show which string is meant.
        """
        kind = f"str{like.entsize}.{like.addralign}" if like.is_strings else f"cst{like.entsize}"
        name = f".rodata.{kind}"
        plain = Section(
            name, like.type, like.flags & ~(SHF_MERGE | SHF_STRINGS), b"", 0, like.addralign
        )
        section = self.pool(plain)
        if (name, content) not in self._pooled:
            self._pooled[name, content] = self.append(section, content, like.addralign)
        return section, self._pooled[name, content]

    def add_symbol(self, symbol: Symbol) -> int:
        """Add a symbol; return its index."""
        self._symbols.append(symbol)
        return len(self._symbols) - 1

    def section_symbol(self, section: int) -> int:
        """Return the index of a section's own symbol, which is added on first use."""
        if section not in self._section_symbols:
            self._section_symbols[section] = self.add_symbol(
                Symbol("", 0, 0, STT_SECTION, STB_LOCAL, section)
            )
        return self._section_symbols[section]

    def without_name(self, symbol: int) -> tuple[int, int]:
        """Return the section's symbol and an offset in place of a local symbol; a global symbol is
        returned as it is, with offset 0."""
        held = self._symbols[symbol]
        if held.bind != STB_LOCAL:
            return symbol, 0
        return self.section_symbol(held.shndx), held.value

    def add_relocation(self, section: int, relocation: Relocation) -> None:
        """Add a relocation, and clear its field.

        The addend is in the relocation, and the module loader refuses a field that is not zero as
        relocated already (arch/x86/kernel/module.c: __write_relocate_add()).
        """
        growing = self._sections[section - 1]
        self._types[relocation.type].blank(growing.data, relocation.offset)
        growing.relocations.append(relocation)

    def finish(self, name: str) -> ObjectFile:
        """Return the object file."""
        sections = (
            Section("", 0, 0, b"", 0),
            *(
                Section(s.name, s.type, s.flags, bytes(s.data), s.size, s.align, s.entsize, s.link)
                for s in self._sections
            ),
        )
        relocations = {
            index: tuple(sorted(section.relocations, key=lambda r: r.offset))
            for index, section in enumerate(self._sections, start=1)
            if section.relocations
        }
        return ObjectFile(name, sections, tuple(self._symbols), relocations, machine=self._machine)
