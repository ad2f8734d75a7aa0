# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of a kGraft module, read from its objects.

Suture's own ``formats/include/linux/kgraft.h`` makes them of ``KGR_PATCH()`` and its kin, so their
layout is known.  Every entry begins with a number that marks it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from suture.elf.object import SHN_COMMON, STT_FUNC, STT_OBJECT, ObjectFile, Symbol
from suture.errors import KGRAFT_TABLE_MALFORMED, Refusal
from suture.model import VMLINUX
from suture.module.inspect import Place, Tables, text

MARK, MARK_END = 0x315F7274666172, 0x325F7274666172
"""KGR_MARK and KGR_MARK_END."""

# struct kgr_patch_fun: mark, name, new_fun, objname, sympos, defined, abort_if_missing
_NAME, _NEW, _OBJECT, _SYMPOS, _DEFINED, _ABORT, _SIZE = 8, 16, 24, 32, 40, 48, 56
# struct kgr_patch: name, owner, replace_all, immediate, patches[]
_REPLACE_ALL, _IMMEDIATE, _PATCHES = 16, 17, 24


@dataclass(frozen=True, slots=True)
class Replaced:
    """One function that an author replaces.

    :ivar new: the new function's symbol in its object.
    :ivar abort_if_missing: the patch must not be applied to a kernel without the function.
    """

    objname: str
    name: str
    sympos: int
    new: Symbol
    abort_if_missing: bool


@dataclass(frozen=True, slots=True)
class KgraftTable:
    """The contents of a ``struct kgr_patch``.

    :ivar part: the C file that defines it.
    """

    part: str
    functions: tuple[Replaced, ...]
    replace_all: bool
    immediate: bool


def table(objects: Mapping[str, ObjectFile]) -> KgraftTable:
    """Return the one table of a module.

    :param objects: C file -> its object.
    :raises Refusal: ``kgraft-table-malformed``
    """
    found = [(part, obj, symbol) for part, obj in objects.items() for symbol in _tables(obj)]
    if not found:
        where = ", ".join(objects)
        raise Refusal(
            KGRAFT_TABLE_MALFORMED, where, "no struct kgr_patch names a function to replace"
        )
    if len(found) > 1:
        names = ", ".join(f"{symbol.name} ({part})" for part, _, symbol in found)
        raise Refusal(
            KGRAFT_TABLE_MALFORMED, found[1][0], f"there are {len(found)} tables: {names}"
        )
    part, obj, symbol = found[0]
    functions = tuple(_entries(part, obj, symbol))
    data = obj.sections[symbol.shndx].data
    return KgraftTable(
        part,
        functions,
        bool(data[symbol.value + _REPLACE_ALL]),
        bool(data[symbol.value + _IMMEDIATE]),
    )


def _tables(obj: ObjectFile) -> Iterator[Symbol]:
    for _, symbol in obj.symbols_of_type(STT_OBJECT):
        if symbol.shndx != SHN_COMMON and _number(obj, (symbol.shndx, symbol.value + _PATCHES)) in (
            MARK,
            MARK_END,
        ):
            yield symbol


def _entries(part: str, obj: ObjectFile, symbol: Symbol) -> Iterator[Replaced]:
    tables = Tables(obj)
    place, end = symbol.value + _PATCHES, symbol.value + symbol.size
    if _number(obj, (symbol.shndx, place)) == MARK_END:
        raise Refusal(
            KGRAFT_TABLE_MALFORMED, f"{part}: {symbol.name}", "names no function to replace"
        )
    while place + _SIZE <= end:
        entry = symbol.shndx, place
        mark = _number(obj, entry)
        if mark == MARK_END or not mark:
            if mark:
                return
            raise Refusal(
                KGRAFT_TABLE_MALFORMED,
                f"{part}: {symbol.name}",
                "has an entry that is not made by KGR_PATCH()",
            )
        yield _entry(part, obj, tables, tables.pointers.get((entry[0], entry[1] + _DEFINED), entry))
        place += _SIZE
    raise Refusal(
        KGRAFT_TABLE_MALFORMED, f"{part}: {symbol.name}", "does not end with KGR_PATCH_END"
    )


def _entry(part: str, obj: ObjectFile, tables: Tables, place: Place) -> Replaced:
    section, offset = place
    pointers = tables.pointers
    name = (
        text(obj, pointers[section, offset + _NAME])
        if (section, offset + _NAME) in pointers
        else None
    )
    if not name:
        raise Refusal(KGRAFT_TABLE_MALFORMED, part, "an entry has no name")
    target = pointers.get((section, offset + _NEW))
    new = tables.function_at(target) if target else _undefined(obj, section, offset + _NEW)
    if new is None:
        raise Refusal(
            KGRAFT_TABLE_MALFORMED,
            part,
            f"the new code for {name} is not a function of this module",
        )
    objname = (
        text(obj, pointers[section, offset + _OBJECT])
        if (section, offset + _OBJECT) in pointers
        else None
    )
    sympos = _number(obj, (section, offset + _SYMPOS)) or 0
    abort = obj.sections[section].data[offset + _ABORT] != 0
    return Replaced((objname or VMLINUX).replace("-", "_"), name, sympos, new, abort)


def _undefined(obj: ObjectFile, section: int, offset: int) -> Symbol | None:
    """Return the function of another C file that a field refers to."""
    for relocation in obj.relocations.get(section, ()):
        if relocation.offset == offset:
            symbol = obj.symbols[relocation.symbol]
            return symbol if symbol.is_undefined or symbol.type == STT_FUNC else None
    return None


def _number(obj: ObjectFile, place: Place) -> int | None:
    section, offset = place
    data = obj.sections[section].data
    if offset < 0 or offset + 8 > len(data):
        return None
    number: int = struct.unpack_from(f"{obj.machine.prefix}Q", data, offset)[0]
    return number
