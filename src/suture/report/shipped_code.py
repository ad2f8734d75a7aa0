# SPDX-License-Identifier: GPL-2.0-or-later
"""Instructions of a shipped function beside those of a module's new one, where no source is at
hand.

The shipped code is linked: the addresses in it are turned back into names, so that it reads like
the code of the module, whose relocations have the names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from suture.elf.object import SHN_LIVEPATCH, SHN_UNDEF, ObjectFile, Symbol
from suture.errors import Refusal
from suture.link.stack_visibility import LOCAL_LABEL
from suture.model import VMLINUX, ExternalSymbol
from suture.objects.locals import base, is_cold
from suture.objects.view import View
from suture.report.content import CodeRow
from suture.report.instructions import AssemblyLine, lines_of, quoted, rows_of
from suture.verify.examination import FunctionCheck
from suture.verify.shipped import Shipped

OWN = " of the module"
"""Marks what the module brings itself: ``udf_new_block`` there is not the kernel's."""

LEAST_ADDRESS = 1 << 32

LONGEST_TEXT = 256
"""Bytes to read of what may be a string."""

_ADDRESS = re.compile(r"(?<![\w])(-?)0x([0-9a-f]{4,16})\b", re.IGNORECASE)

PAGE = 4096

Rows = tuple[tuple[CodeRow, ...], int]


class ModuleCode:
    """Compares the functions of a module with those that they replace."""

    def __init__(self, module: ObjectFile) -> None:
        self._view: View | None = None
        # Another tool's module may hold what Suture does not read.
        with suppress(Refusal):
            self._view = View(_with_ordinary_relocations(module))

    def beside(self, check: FunctionCheck, shipped: Shipped) -> Rows:
        """Return the rows for one replaced function, and how many are left out; none where the new
        code is not found."""
        units = self._view.by_name.get(check.function.new_name, ()) if self._view else ()
        if self._view is None or len(units) != 1 or check.address is None:
            return (), 0
        try:
            new = list(lines_of(self._view, units[0], own=OWN))
        except Refusal:
            return (), 0
        return rows_of(list(_shipped_lines(shipped, check.function.old_name, check.address)), new)


def _with_ordinary_relocations(module: ObjectFile) -> ObjectFile:
    """Return the module as if the loader resolved everything, by plain names."""
    relocations = {section: list(some) for section, some in module.relocations.items()}
    for group in module.livepatch:
        relocations.setdefault(group.section, []).extend(group.relocations)
    ordered = {
        section: tuple(sorted(some, key=lambda one: one.offset))
        for section, some in relocations.items()
    }
    return replace(module, symbols=tuple(map(_plain, module.symbols)), relocations=ordered)


def _plain(symbol: Symbol) -> Symbol:
    external = ExternalSymbol.parse(symbol.name) if symbol.shndx == SHN_LIVEPATCH else None
    if external is not None:
        return replace(symbol, name=external.name, shndx=SHN_UNDEF)
    if is_cold(symbol.name):
        # Suture makes them labels (link/stack_visibility.py).
        return replace(symbol, name=symbol.name.removeprefix(LOCAL_LABEL))
    return symbol


def _shipped_lines(shipped: Shipped, name: str, address: int) -> Iterator[AssemblyLine]:
    yield from _of_symbol(shipped, address)
    cold = shipped.addresses(f"{name}.cold")
    if len(cold) == 1:
        yield AssemblyLine("cold", f"{base(name)}.cold:")
        yield from _of_symbol(shipped, cold[0])


def _of_symbol(shipped: Shipped, address: int) -> Iterator[AssemblyLine]:
    decoding = shipped.arch.decoding
    size = shipped.size(address)
    code = shipped.read(address, size) or b""
    instructions = list(decoding.instructions(code, address))
    while instructions and decoding.is_padding(code[instructions[-1].start - address :]):
        instructions.pop()
    for one in instructions:
        text = decoding.text(code[one.start - address : one.end - address], one.start)
        word = text.split(None, 1)[0]
        if one.target is None:
            key = shown = _with_names(text, shipped)
        elif address <= one.target < address + size:
            key, shown = word, f"{word} +{one.target - address:#x}"
        else:
            key = shown = f"{word} {_name(shipped, one.target) or f'{one.target:#x}'}"
        yield AssemblyLine(key, f"{one.start - address:6x}  {shown}")


def _with_names(text: str, shipped: Shipped) -> str:
    """Return an instruction with a name in place of an address."""
    match = _ADDRESS.search(text)
    if match is None:
        return text
    value = int(match[2], 16)
    # An address of the kernel is negative as a number of 32 bits, and is extended to 64.
    value = -value % 2**64 if match[1] else value | (-(2**32) % 2**64 if value >> 31 == 1 else 0)
    name = _name(shipped, value)
    return f"{text[: match.start()]}…{text[match.end() :]}  # {name}" if name else text


def _name(shipped: Shipped, address: int) -> str:
    """Return the name of what is at an address, or the text there; "" for neither."""
    names = shipped.names(address)
    if names:
        return base(names[0])
    if address < LEAST_ADDRESS:  # an offset of a variable of each processor has a name, or none
        return ""
    text = _text_at(shipped, address)
    if len(text) > 1:
        return quoted(text + b"\0")
    start = shipped.start(address)
    inside = shipped.names(start) if start is not None else ()
    # What a module imports has a page of its own, without contents (lay_out()).
    room = PAGE if shipped.objname != VMLINUX else 0
    is_near = start is not None and address - start < max(shipped.size(start), room)
    return f"{base(inside[0])}{address - (start or 0):+#x}" if inside and is_near else ""


def _text_at(shipped: Shipped, address: int) -> bytes:
    """Return the string at an address without its end; nothing where there is none."""
    text = b""
    while len(text) < LONGEST_TEXT:
        byte = shipped.read(address + len(text), 1)
        if byte == b"\0":
            return text
        # KERN_SOH begins what printk() prints (include/linux/kern_levels.h).
        if not byte or not (32 <= byte[0] < 127 or byte in b"\n\t\1"):
            return b""
        text += byte
    return b""
