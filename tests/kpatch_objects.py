# SPDX-License-Identifier: GPL-2.0-or-later
"""Modules as kpatch-build made them for kpatch's own core, made from what Suture cut out of a diff.

kpatch's last step takes the relocations that the core is to fill in out of the object and writes
them to ``.kpatch.dynrelas``, or, one step before, to ``.kpatch.relocations`` and
``.kpatch.symbols``.  So does this.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from suture.builder.part import Cut
from suture.elf import writer
from suture.elf.object import (
    SHF_ALLOC,
    SHF_WRITE,
    SHT_PROGBITS,
    STB_LOCAL,
    STT_SECTION,
    Relocation,
    Section,
    Symbol,
)
from suture.link.klp import pending_name
from suture.model import ExternalSymbol

AddressOf = Callable[[str, str, int], int]
"""From object, name and sympos to the address as linked, or 0."""


@dataclass
class _Maker:
    """Sections and symbols that are added to an object."""

    sections: list[Section]
    symbols: list[Symbol]
    relocations: dict[int, list[Relocation]]
    strings: bytearray = field(default_factory=bytearray)
    strings_at: int = 0

    def section(self, name: str, flags: int = SHF_ALLOC | SHF_WRITE) -> int:
        self.sections.append(Section(name, SHT_PROGBITS, flags, b"", 0, 8))
        return len(self.sections) - 1

    def symbol_of(self, section: int) -> int:
        self.symbols.append(Symbol("", 0, 0, STT_SECTION, STB_LOCAL, section))
        return len(self.symbols) - 1

    def string(self, text: str) -> int:
        at = len(self.strings)
        self.strings += text.encode() + b"\0"
        return at

    def fill(self, section: int, data: bytes, pointers: Sequence[tuple[int, int, int]]) -> None:
        """:param pointers: offset, symbol, addend."""
        held = self.sections[section]
        self.sections[section] = replace(held, data=data, size=len(data))
        self.relocations[section] = [
            Relocation(offset, 1, symbol, addend) for offset, symbol, addend in pointers
        ]


def as_kpatch_object(
    cut: Cut,
    release: str,
    address_of: AddressOf,
    *,
    intermediate: bool = False,
    sizes: Sequence[int] = (),
) -> bytes:
    """A file with the same new code.

    :param release: for ``.modinfo``; "" for none.
    :param intermediate: what the comparison step leaves, not the finished module.
    :param sizes: of the old functions.
    """
    obj, objname = cut.output.obj, cut.output.objname
    maker = _Maker(list(obj.sections), list(obj.symbols), {})
    strings = maker.section(".kpatch.strings")
    string_symbol = maker.symbol_of(strings)
    taken: list[tuple[int, Relocation, ExternalSymbol]] = []
    for section, relocations in obj.relocations.items():
        kept = []
        for relocation in relocations:
            external = pending_name(obj.symbols[relocation.symbol].name)
            taken += [(section, relocation, external)] if external else []
            kept += [] if external else [relocation]
        maker.relocations[section] = kept
    data, pointers = b"", []
    for (old_name, sympos), made, size in zip(
        cut.functions, cut.output.replaced, (*sizes, *[0] * len(cut.functions)), strict=False
    ):
        at = len(data)
        data += struct.pack(
            "<QQQQQQQ", 0, 0, address_of(objname, old_name, sympos), size, sympos, 0, 0
        )
        pointers += [
            (at, made.symbol, 0),
            (at + 40, string_symbol, maker.string(old_name)),
            (at + 48, string_symbol, maker.string(objname)),
        ]
    maker.fill(maker.section(".kpatch.funcs"), data, pointers)
    for name in dict.fromkeys(call.stage.section for call in cut.output.calls):
        calls = [call for call in cut.output.calls if call.stage.section == name]
        pointers = [(16 * number, call.symbol, 0) for number, call in enumerate(calls)]
        pointers += [
            (16 * number + 8, string_symbol, maker.string(objname))
            for number, _ in enumerate(calls)
        ]
        maker.fill(maker.section(name), bytes(16 * len(calls)), sorted(pointers))
    places = {section: maker.symbol_of(section) for section in {section for section, _, _ in taken}}
    (_intermediate if intermediate else _module)(
        maker, taken, places, string_symbol, objname, address_of
    )
    maker.sections[strings] = replace(
        maker.sections[strings], data=bytes(maker.strings), size=len(maker.strings)
    )
    if release:
        text = f"license=GPL\0vermagic={release} SMP preempt mod_unload modversions \0name=kpatch_test\0".encode()
        maker.fill(maker.section(".modinfo", SHF_ALLOC), text, [])
    made_of = {section: tuple(found) for section, found in maker.relocations.items() if found}
    # The pending names mean nothing to kpatch.
    symbols = [replace(s, name="") if pending_name(s.name) else s for s in maker.symbols]
    return writer.write(
        replace(obj, sections=tuple(maker.sections), symbols=tuple(symbols), relocations=made_of)
    )


def _module(
    maker: _Maker,
    taken: Sequence[tuple[int, Relocation, ExternalSymbol]],
    places: dict[int, int],
    strings: int,
    objname: str,
    address_of: AddressOf,
) -> None:
    data, pointers = b"", []
    for section, relocation, external in taken:
        at = len(data)
        address = address_of(external.objname, external.name, external.sympos)
        data += struct.pack(
            "<QQQQQQii", 0, address, relocation.type, external.sympos, 0, 0, 0, relocation.addend
        )
        pointers += [
            (at, places[section], relocation.offset),
            (at + 32, strings, maker.string(external.name)),
            (at + 40, strings, maker.string(external.objname)),
        ]
    maker.fill(maker.section(".kpatch.dynrelas"), data, pointers)


def _intermediate(
    maker: _Maker,
    taken: Sequence[tuple[int, Relocation, ExternalSymbol]],
    places: dict[int, int],
    strings: int,
    objname: str,
    address_of: AddressOf,
) -> None:
    symbols_at = maker.section(".kpatch.symbols")
    symbols_symbol = maker.symbol_of(symbols_at)
    data, symbols = b"", b""
    pointers, symbol_pointers = [], []
    for section, relocation, external in taken:
        at, symbol = len(data), len(symbols)
        data += struct.pack("<QIiqQQ", 0, relocation.type, 0, relocation.addend, 0, 0)
        pointers += [
            (at, places[section], relocation.offset),
            (at + 24, strings, maker.string(objname)),
            (at + 32, symbols_symbol, symbol),
        ]
        address = address_of(external.objname, external.name, external.sympos)
        symbols += struct.pack("<QQBB6xQQ", address, external.sympos, 0, 1, 0, 0)
        symbol_pointers += [
            (symbol + 24, strings, maker.string(external.name)),
            (symbol + 32, strings, maker.string(external.objname)),
        ]
    maker.fill(symbols_at, symbols, symbol_pointers)
    maker.fill(maker.section(".kpatch.relocations"), data, pointers)
