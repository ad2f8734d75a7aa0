# SPDX-License-Identifier: GPL-2.0-or-later
"""One object of the shipped kernel, ``vmlinux`` or a module, as linked bytes at addresses with
names.

A module file is not linked yet: it is laid out here as the loader would, at addresses of our
choosing, with a place for every symbol that it imports.  So one way of comparing serves both.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from suture import arch
from suture.elf.object import SHT_NOBITS, STB_LOCAL, STT_FILE, STT_SECTION, ObjectFile
from suture.errors import RELOCATION_UNSUPPORTED, Refusal
from suture.kernel.image import Image
from suture.kernel.kallsyms import Kallsyms
from suture.model import VMLINUX


@dataclass(frozen=True, slots=True)
class Region:
    """A section as linked: its bytes at its address; a section without contents is none."""

    name: str
    address: int
    data: bytes
    is_code: bool


class Shipped(Protocol):
    """:ivar objname: the kernel's name for it."""

    @property
    def objname(self) -> str: ...

    @property
    def machine(self) -> arch.ElfMachine:
        """What it is built for."""

    @property
    def arch(self) -> arch.Architecture:
        """The architecture of `machine`."""

    def read(self, address: int, size: int) -> bytes | None:
        """The linked bytes, fewer where a section ends; None where nothing is held (bss, another
        object's symbol)."""

    def addresses(self, name: str) -> Sequence[int]:
        """Where symbols of that name are, in the order in which the kernel counts `sympos`."""

    def global_addresses(self, name: str) -> Sequence[int]:
        """The same without symbols that only their own source file can name."""

    def names(self, address: int) -> Sequence[str]:
        """The symbols at an address."""

    def all_names(self) -> Iterator[str]:
        """The names of all symbols."""

    def is_discarded(self, address: int) -> bool:
        """The memory there is given back once the object has been initialised."""

    def regions(self) -> Iterator[Region]:
        """All sections with contents."""

    def start(self, address: int) -> int | None:
        """Where the symbol stands that `address` belongs to: the last one at or before it."""


@dataclass(frozen=True, slots=True)
class ShippedImage:
    """The core kernel."""

    image: Image
    kallsyms: Kallsyms

    @property
    def objname(self) -> str:
        return VMLINUX

    @property
    def machine(self) -> arch.ElfMachine:
        return self.image.machine

    @property
    def arch(self) -> arch.Architecture:
        return arch.of(self.machine)

    def read(self, address: int, size: int) -> bytes | None:
        try:
            return self.image.read(address, size)
        except Refusal:
            return None

    def addresses(self, name: str) -> Sequence[int]:
        return [symbol.address for symbol in self.kallsyms.named(name)]

    def global_addresses(self, name: str) -> Sequence[int]:
        # kallsyms marks global symbols with a capital letter, weak ones with W or V (nm(1)).
        return [symbol.address for symbol in self.kallsyms.named(name) if symbol.type.isupper()]

    def names(self, address: int) -> Sequence[str]:
        return [symbol.name for symbol in self.kallsyms.at(address)]

    def all_names(self) -> Iterator[str]:
        return (symbol.name for symbol in self.kallsyms.symbols)

    def is_discarded(self, address: int) -> bool:
        # free_initmem() (mm/init.c, arch/x86/mm/init.c) frees what lies between these two.
        begin, end = (self.kallsyms.named(name) for name in ("__init_begin", "__init_end"))
        return bool(begin and end) and begin[0].address <= address < end[0].address

    def regions(self) -> Iterator[Region]:
        for name, address, is_code in self.image.sections():
            yield Region(name, address, self.image.section(name) or b"", is_code)

    def start(self, address: int) -> int | None:
        symbol = self.kallsyms.containing(address)
        return None if symbol is None else symbol.address


@dataclass(frozen=True, slots=True)
class ShippedModule:
    """A module file, laid out by `lay_out`."""

    objname: str
    sections: Sequence[tuple[int, bytes]]
    """Address and linked bytes, by ascending address; a section without contents has no bytes."""
    discarded: Sequence[range]
    """The addresses of sections that the loader frees after init (kernel/module/main.c)."""
    by_name: Mapping[str, Sequence[int]]
    global_by_name: Mapping[str, Sequence[int]]
    by_address: Mapping[int, Sequence[str]]
    kinds: Mapping[int, tuple[str, bool]] = field(default_factory=dict)
    """Address of a section -> its name, and whether it is code."""
    machine: arch.ElfMachine = field(kw_only=True)

    @property
    def arch(self) -> arch.Architecture:
        return arch.of(self.machine)

    def read(self, address: int, size: int) -> bytes | None:
        for start, data in self.sections:
            if start <= address < start + len(data):
                return data[address - start : address - start + size]
        return None

    def addresses(self, name: str) -> Sequence[int]:
        return self.by_name.get(name, ())

    def global_addresses(self, name: str) -> Sequence[int]:
        return self.global_by_name.get(name, ())

    def names(self, address: int) -> Sequence[str]:
        return self.by_address.get(address, ())

    def all_names(self) -> Iterator[str]:
        return iter(self.by_name)

    def is_discarded(self, address: int) -> bool:
        return any(address in addresses for addresses in self.discarded)

    def regions(self) -> Iterator[Region]:
        for address, data in self.sections:
            name, is_code = self.kinds[address]
            if data:
                yield Region(name, address, data, is_code)

    def start(self, address: int) -> int | None:
        places = sorted(self.by_address)
        position = bisect_right(places, address)
        return places[position - 1] if position else None


def lay_out(module: ObjectFile, objname: str) -> ShippedModule:
    """Lay a module file out and link it to itself (``kernel/module/main.c: layout_sections(),
    simplify_symbols()``).

    Only defined symbols are counted for `sympos`, in symbol table order, as
    ``module_kallsyms_on_each_symbol()`` does.
    """
    bases: dict[int, int] = {}
    address = module.arch.module_base
    for index, section in enumerate(module.sections):
        if section.is_allocated:
            # Far apart, and never the end of one the start of the next: an address names one place.
            address += -address % max(section.addralign, 4096)
            bases[index] = address
            address += section.size + 4096
    places: list[int] = []
    by_name: dict[str, list[int]] = defaultdict(list)
    global_by_name: dict[str, list[int]] = defaultdict(list)
    by_address: dict[int, list[str]] = defaultdict(list)
    for symbol in module.symbols:
        if symbol.is_defined_here:
            place = bases.get(symbol.shndx, 0) + symbol.value
            if symbol.shndx in bases and symbol.type not in (STT_SECTION, STT_FILE) and symbol.name:
                by_name[symbol.name].append(place)
                if symbol.bind != STB_LOCAL:
                    global_by_name[symbol.name].append(place)
                by_address[place].append(symbol.name)
        elif symbol.is_undefined and symbol.name:
            place = address
            address += 4096
            by_address[place].append(symbol.name)
        else:
            place = symbol.value
        places.append(place)
    sections = [(base, _linked(module, index, base, places)) for index, base in bases.items()]
    discarded = [
        range(base, base + module.sections[index].size)
        for index, base in bases.items()
        if module.sections[index].name.startswith(".init")
    ]
    kinds = {
        base: (module.sections[index].name, module.sections[index].is_code)
        for index, base in bases.items()
    }
    return ShippedModule(
        objname,
        sections,
        discarded,
        by_name,
        global_by_name,
        by_address,
        kinds,
        machine=module.machine,
    )


def _linked(module: ObjectFile, index: int, base: int, places: list[int]) -> bytes:
    section = module.sections[index]
    if section.type == SHT_NOBITS:
        return b""
    data, order = bytearray(section.data), module.machine.order
    types = module.arch.relocations.types
    for relocation in module.relocations.get(index, ()):
        kind = types.get(relocation.type)
        if kind is None:
            raise Refusal(
                RELOCATION_UNSUPPORTED,
                f"{module.name}: {section.name}",
                f"has type {relocation.type}",
            )
        value = places[relocation.symbol] + relocation.addend
        value -= base + relocation.offset if kind.pc_relative else 0
        kind.write(data, relocation.offset, order, value)
    return bytes(data)
