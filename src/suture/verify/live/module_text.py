# SPDX-License-Identifier: GPL-2.0-or-later
"""A module's file and memory (`suture.arch.live_code.LiveText`).

The file is linked here to the addresses that the loader gave its sections
(``/sys/module/NAME/sections``), and to the symbols of the running kernel (``kernel/module/main.c:
simplify_symbols()``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from suture.core.running import text
from suture.elf.object import SHT_NOBITS, ObjectFile, Symbol
from suture.verify.live.core_text import CoreText
from suture.verify.shipped import linked

PERCPU = ".data..percpu"
"""``kernel/module/main.c: find_pcpusec()``; its variables are elsewhere, once for each
processor."""

Lookup = Callable[[str, str], int | None]
"""Symbol and object -> address; an object "" is the one that exports it."""


class ModuleText:
    """A loaded module.

    :param bases: where its sections are, by name.
    :param symbols: looks up symbols of modules.
    """

    def __init__(
        self,
        module: ObjectFile,
        objname: str,
        core: CoreText,
        bases: Mapping[str, int],
        symbols: Lookup,
    ) -> None:
        self._module = module
        self._objname = objname
        self._core = core
        self._symbols = symbols
        self._bases = {
            index: bases[section.name]
            for index, section in enumerate(module.sections)
            if section.is_allocated and section.name in bases
        }
        self._linked: dict[int, bytes] = {}

    def place(self, section: str, offset: int) -> int | None:
        """Return the running address of a place in the file."""
        index = self._module.section_named(section)
        base = self._bases.get(index) if index is not None else None
        return None if base is None else base + offset

    def shipped(self, address: int, size: int) -> bytes:
        """Return the file's bytes, linked; the core kernel's where the address is its."""
        for index, base in self._bases.items():
            if base <= address < base + self._module.sections[index].size:
                return self._contents(index)[address - base : address - base + size]
        return self._core.shipped(address, size)

    def live(self, address: int, size: int) -> bytes:
        """Return bytes of memory."""
        return self._core.live(address, size)

    def tables(self, name: str) -> Iterator[tuple[str, int, bytes]]:
        """Yield the sections whose names begin so."""
        for index, base in self._bases.items():
            section = self._module.sections[index]
            if section.name.startswith(name) and section.type != SHT_NOBITS:
                yield section.name, base, self._contents(index)

    def symbol(self, name: str) -> int | None:
        """Return the address of a symbol of the core kernel."""
        return self._core.symbol(name)

    def names(self, address: int) -> Sequence[str]:
        """Return the core kernel's symbols at an address."""
        return self._core.names(address)

    def size_of(self, struct: str) -> int:
        """Return the bytes of a structure of the kernel's."""
        return self._core.size_of(struct)

    def has_feature(self, number: int) -> bool | None:
        """Whether the processor has a feature."""
        return self._core.has_feature(number)

    def _contents(self, index: int) -> bytes:
        if index not in self._linked:
            base = self._bases[index]
            self._linked[index] = linked(self._module, index, base, self._places)
        return self._linked[index]

    @cached_property
    def _places(self) -> list[int]:
        """The address of each symbol of the file; 0 for what is not there any more."""
        return [self._address(symbol) for symbol in self._module.symbols]

    def _address(self, symbol: Symbol) -> int:
        if symbol.is_undefined:
            exported = self._core.exported(symbol.name)
            return exported or self._symbols(symbol.name, "") or 0
        if not symbol.is_defined_here:
            return symbol.value
        if self._module.sections[symbol.shndx].name == PERCPU:
            return self._percpu + symbol.value
        return self._bases.get(symbol.shndx, 0) + symbol.value

    @cached_property
    def _percpu(self) -> int:
        """The address of the module's per-CPU data, from any symbol in it."""
        index = self._module.section_named(PERCPU)
        for symbol in self._module.symbols:
            if symbol.name and symbol.is_defined_here and symbol.shndx == index:
                found = self._symbols(symbol.name, self._objname)
                if found is not None:
                    return found - symbol.value
        return 0


def section_bases(root: Path, objname: str) -> Mapping[str, int]:
    """Return the addresses of a loaded module's sections by name; nothing if it is not loaded, and
    zeroes where the kernel hides addresses."""
    directory = root / "sys/module" / objname / "sections"
    try:
        paths = list(directory.iterdir())
    except OSError:
        return {}
    found = {path.name: text(path) for path in paths}
    return {name: int(value, 16) for name, value in found.items() if value.startswith("0x")}
