# SPDX-License-Identifier: GPL-2.0-or-later
"""An object of the shipped kernel, ``vmlinux`` or a module: linked bytes and symbols by address.

A module file is not linked yet: it is laid out here as the module loader would, at addresses of
our choice, with a place for every symbol that it imports.  Both kinds are then compared alike.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from suture import arch
from suture.elf.object import SHT_NOBITS, STB_LOCAL, STB_WEAK, STT_FILE, STT_SECTION, ObjectFile
from suture.errors import RELOCATION_UNSUPPORTED, Refusal
from suture.kernel.image import Image
from suture.kernel.init_memory import BOUNDS, InitMemory
from suture.kernel.kallsyms import Kallsyms
from suture.model import VMLINUX


@dataclass(frozen=True, slots=True)
class Region:
    """A section with contents, as linked."""

    name: str
    address: int
    data: bytes
    is_code: bool


class Shipped(Protocol):
    """An object of the shipped kernel."""

    @property
    def objname(self) -> str:
        """The kernel's name of the object."""

    @property
    def machine(self) -> arch.ElfMachine:
        """The ELF machine that it is built for."""

    @property
    def arch(self) -> arch.Architecture:
        """The architecture of `machine`."""

    def read(self, address: int, size: int) -> bytes | None:
        """Return the linked bytes, fewer at the end of a section; None where none are stored (bss,
        another object's symbol)."""

    def addresses(self, name: str) -> Sequence[int]:
        """Return the addresses of a name's symbols, in the order that `sympos` counts."""

    def global_addresses(self, name: str) -> Sequence[int]:
        """Return the same without static symbols."""

    def is_weak(self, name: str, address: int) -> bool:
        """The symbol of that name at an address is weak: no strong definition took its place."""

    def names(self, address: int) -> Sequence[str]:
        """Return the names of the symbols at an address."""

    def all_names(self) -> Iterator[str]:
        """Yield the names of all symbols."""

    def is_discarded(self, address: int) -> bool:
        """Whether the memory there is freed once the object is initialised."""

    def regions(self) -> Iterator[Region]:
        """Yield all sections with contents."""

    def start(self, address: int) -> int | None:
        """Return the address of the last symbol at or before `address`."""

    def size(self, address: int) -> int:
        """Return the bytes from a symbol up to the next one, padding included; 0 for the last."""


@dataclass(frozen=True, slots=True)
class ShippedImage:
    """The core kernel, from its image and its kallsyms."""

    image: Image
    kallsyms: Kallsyms

    @property
    def objname(self) -> str:
        """``vmlinux``."""
        return VMLINUX

    @property
    def machine(self) -> arch.ElfMachine:
        """The ELF machine of the image."""
        return self.image.machine

    @property
    def arch(self) -> arch.Architecture:
        """The architecture of `machine`."""
        return arch.of(self.machine)

    def read(self, address: int, size: int) -> bytes | None:
        """Return the image's bytes; None outside its segments."""
        return self.image.read(address, size)

    def addresses(self, name: str) -> Sequence[int]:
        """Return the addresses of a name's symbols, in the order of kallsyms."""
        return [symbol.address for symbol in self.kallsyms.named(name)]

    def global_addresses(self, name: str) -> Sequence[int]:
        """Return the addresses of a name's global symbols."""
        # kallsyms marks global symbols with a capital letter, weak ones with W or V (nm(1)).
        return [symbol.address for symbol in self.kallsyms.named(name) if symbol.type.isupper()]

    def is_weak(self, name: str, address: int) -> bool:
        """kallsyms marks weak symbols with W or V (nm(1))."""
        named = self.kallsyms.named(name)
        return any(symbol.address == address and symbol.type in "WwVv" for symbol in named)

    def names(self, address: int) -> Sequence[str]:
        """Return the names of the symbols at an address."""
        return [symbol.name for symbol in self.kallsyms.at(address)]

    def all_names(self) -> Iterator[str]:
        """Yield the names of all symbols."""
        return (symbol.name for symbol in self.kallsyms.symbols)

    def is_discarded(self, address: int) -> bool:
        """Whether boot frees the memory there."""
        found = {name: self.kallsyms.named(name) for name in BOUNDS}
        addresses = {name: symbols[0].address for name, symbols in found.items() if symbols}
        return InitMemory.of(addresses).holds(address)

    def regions(self) -> Iterator[Region]:
        """Yield the sections of the image."""
        for name, address, is_code in self.image.sections():
            yield Region(name, address, self.image.section(name) or b"", is_code)

    def start(self, address: int) -> int | None:
        """Return the address of the last symbol at or before `address`."""
        symbol = self.kallsyms.containing(address)
        return None if symbol is None else symbol.address

    def size(self, address: int) -> int:
        """Return the bytes from a symbol up to the next one; 0 for the last."""
        symbols = self.kallsyms.at(address)
        return self.kallsyms.size(symbols[0]) if symbols else 0


@dataclass(frozen=True, slots=True)
class ShippedModule:
    """A module file, laid out by `lay_out`.

    :ivar sections: address and linked bytes, by ascending address; a section without contents has
        no bytes.
    :ivar discarded: the addresses of sections that the loader frees after init
        (kernel/module/main.c).
    :ivar kinds: address of a section -> its name, and whether it is code.
    :ivar weak: name and address of each weak symbol.
    :ivar starts: the addresses of all symbols, ascending.
    """

    objname: str
    sections: Sequence[tuple[int, bytes]]
    discarded: Sequence[range]
    by_name: Mapping[str, Sequence[int]]
    global_by_name: Mapping[str, Sequence[int]]
    by_address: Mapping[int, Sequence[str]]
    kinds: Mapping[int, tuple[str, bool]] = field(default_factory=dict)
    weak: frozenset[tuple[str, int]] = frozenset()
    starts: Sequence[int] = field(init=False)
    machine: arch.ElfMachine = field(kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "starts", sorted(self.by_address))

    @property
    def arch(self) -> arch.Architecture:
        """The architecture of `machine`."""
        return arch.of(self.machine)

    def read(self, address: int, size: int) -> bytes | None:
        """Return the linked bytes; None outside sections with contents."""
        for start, data in self.sections:
            if start <= address < start + len(data):
                return data[address - start : address - start + size]
        return None

    def addresses(self, name: str) -> Sequence[int]:
        """Return the addresses of a name's defined symbols, in the order of the symbol table."""
        return self.by_name.get(name, ())

    def global_addresses(self, name: str) -> Sequence[int]:
        """Return the addresses of a name's global symbols."""
        return self.global_by_name.get(name, ())

    def is_weak(self, name: str, address: int) -> bool:
        """The module file's symbol table says so."""
        return (name, address) in self.weak

    def names(self, address: int) -> Sequence[str]:
        """Return the names of the symbols at an address."""
        return self.by_address.get(address, ())

    def all_names(self) -> Iterator[str]:
        """Yield the names of all defined symbols."""
        return iter(self.by_name)

    def is_discarded(self, address: int) -> bool:
        """Whether the loader frees the memory there after init."""
        return any(address in addresses for addresses in self.discarded)

    def regions(self) -> Iterator[Region]:
        """Yield the sections that have contents."""
        for address, data in self.sections:
            name, is_code = self.kinds[address]
            if data:
                yield Region(name, address, data, is_code)

    def start(self, address: int) -> int | None:
        """Return the address of the last symbol at or before `address`."""
        position = bisect_right(self.starts, address)
        return self.starts[position - 1] if position else None

    def size(self, address: int) -> int:
        """Return the bytes from a symbol up to the next one; 0 for the last of its section."""
        position = bisect_right(self.starts, address)
        end = self.starts[position] if position < len(self.starts) else address
        data = self.read(address, max(end - address, 0))
        return len(data or b"")


def lay_out(module: ObjectFile, objname: str) -> ShippedModule:
    """Lay a module file out and link it to itself (``kernel/module/main.c: layout_sections(),
    simplify_symbols()``).

    Only defined symbols are counted for `sympos`, in symbol table order, as
    ``module_kallsyms_on_each_symbol()`` does.
    """
    bases, end = _section_addresses(module)
    symbols = _place_symbols(module, bases, end)
    sections = [
        (base, linked(module, index, base, symbols.places)) for index, base in bases.items()
    ]
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
        symbols.by_name,
        symbols.global_by_name,
        symbols.by_address,
        kinds,
        frozenset(symbols.weak),
        machine=module.machine,
    )


def _section_addresses(module: ObjectFile) -> tuple[dict[int, int], int]:
    """Choose an address for each section in memory; return them, and the first free address."""
    bases: dict[int, int] = {}
    address = module.arch.module_base
    for index, section in enumerate(module.sections):
        if section.is_allocated:
            # The end of a section is not the start of the next, so that an address means one place.
            address += -address % max(section.addralign, 4096)
            bases[index] = address
            address += section.size + 4096
    return bases, address


@dataclass(frozen=True, slots=True)
class _PlacedSymbols:
    """The symbols of a module with their addresses.

    :ivar places: address of each symbol, in the order of the symbol table.
    """

    places: list[int]
    by_name: dict[str, list[int]]
    global_by_name: dict[str, list[int]]
    by_address: dict[int, list[str]]
    weak: set[tuple[str, int]]


def _place_symbols(module: ObjectFile, bases: Mapping[int, int], free: int) -> _PlacedSymbols:
    """Give each symbol an address.

    :param free: the first address for symbols of other objects.
    """
    symbols = _PlacedSymbols([], defaultdict(list), defaultdict(list), defaultdict(list), set())
    for symbol in module.symbols:
        place = symbol.value
        if symbol.is_defined_here:
            place += bases.get(symbol.shndx, 0)
            if symbol.shndx in bases and symbol.type not in (STT_SECTION, STT_FILE) and symbol.name:
                symbols.by_name[symbol.name].append(place)
                if symbol.bind != STB_LOCAL:
                    symbols.global_by_name[symbol.name].append(place)
                if symbol.bind == STB_WEAK:
                    symbols.weak.add((symbol.name, place))
                symbols.by_address[place].append(symbol.name)
        elif symbol.is_undefined and symbol.name:
            place, free = free, free + 4096
            symbols.by_address[place].append(symbol.name)
        symbols.places.append(place)
    return symbols


def linked(module: ObjectFile, index: int, base: int, places: Sequence[int]) -> bytes:
    """Return the bytes of a module's section, linked at `base`.

    :param places: the address of each symbol, in the order of the symbol table.
    :raises Refusal: ``relocation-unsupported``
    """
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
