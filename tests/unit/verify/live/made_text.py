# SPDX-License-Identifier: GPL-2.0-or-later
"""A made-up object of a running kernel: one function, tables, symbols, memory."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from suture import arch
from suture.verify.live.compare import LiveComparison, LiveFunction
from suture.verify.live.tables import common_tables

CODE = 0xFFFFFFFF81000000
TABLES = 0xFFFFFFFF83000000
THUNK = 0xFFFFFFFF81800000
TRACER = 0xFFFFFFFF81900000
OUTSIDE = 0xFFFFFFFFC0100000
PAGE = 0x1000

RETURN_THUNK = THUNK + 0x100

X86_64 = arch.named("x86_64")
assert X86_64 is not None


@dataclass
class MadeText:
    """The object.

    :ivar sections: name -> address and linked bytes.
    :ivar memory: address -> bytes.
    :ivar features: those of the processor; None if not known.
    """

    sections: dict[str, tuple[int, bytes]]
    memory: dict[int, bytes] = field(default_factory=dict)
    symbols: Mapping[str, int] = field(default_factory=dict)
    features: Collection[int] | None = ()
    alt_instr: int = 14

    def shipped(self, address: int, size: int) -> bytes:
        found = ((at, data) for at, data in self.sections.values())
        return _piece(found, address, size)

    def live(self, address: int, size: int) -> bytes:
        return _piece(self.memory.items(), address, size)

    def tables(self, name: str) -> Iterator[tuple[str, int, bytes]]:
        for section, (address, data) in self.sections.items():
            if section.startswith(name):
                yield section, address, data

    def symbol(self, name: str) -> int | None:
        return self.symbols.get(name)

    def names(self, address: int) -> Sequence[str]:
        return [name for name, at in self.symbols.items() if at == address]

    def size_of(self, struct: str) -> int:
        return self.alt_instr if struct == "alt_instr" else 0

    def has_feature(self, number: int) -> bool | None:
        return None if self.features is None else number in self.features


def _piece(pieces: Iterable[tuple[int, bytes]], address: int, size: int) -> bytes:
    for at, data in pieces:
        if at <= address < at + len(data):
            return data[address - at : address - at + size]
    return b""


def compared(
    text: MadeText, live: bytes, probes: Collection[int] = (), tracers: Collection[int] = (TRACER,)
) -> LiveFunction:
    """Compare the code at `CODE` with this memory."""
    assert X86_64 is not None
    text.memory[CODE] = live
    tables = [
        *X86_64.live_code.tables(text),
        *common_tables(text, X86_64, lambda target: target in tracers),
    ]
    found = LiveComparison(text, X86_64, tables, probes).function(
        CODE, len(text.sections[".text"][1])
    )
    assert found is not None
    return found


def near(opcode: str, offset: int, target: int) -> bytes:
    """A call or jump at an offset of the code."""
    prefix = bytes.fromhex(opcode)
    distance = target - (CODE + offset + len(prefix) + 4)
    return prefix + struct.pack("<i", distance)


def site(offset: int, table: int = TABLES) -> bytes:
    """An entry of a table of distances: that of a place in the code."""
    return struct.pack("<i", CODE + offset - table)


def text_with(code: bytes, tables: Mapping[str, bytes]) -> MadeText:
    """An object with this code, and tables from `TABLES` on, a page each."""
    sections = {".text": (CODE, code)}
    for number, (name, data) in enumerate(tables.items()):
        sections[name] = TABLES + PAGE * number, data
    return MadeText(sections)
