# SPDX-License-Identifier: GPL-2.0-or-later
"""Symbols that fixes in SUSE's directories look up when they are loaded (``formats/include/suse/kallsyms_relocs.h``).

A lookup that finds nothing, or several, would only show on the host.  So the tables are read when the
module is built: ``struct klp_kallsyms_reloc`` is a name, where to put the address, an object or NULL, a position.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping

from suture.elf.object import STT_OBJECT, ObjectFile
from suture.errors import SYMBOL_AMBIGUOUS, SYMBOL_NOT_FOUND, Refusal
from suture.link.inspect import Tables, text
from suture.link.references import candidates, nearest
from suture.model import VMLINUX
from suture.verify.shipped import Shipped

_TABLE = re.compile(r"klp_(?:funcs|relocs|syms)(?:\.\d+)?")
"""What SUSE's templates call it; the compiler numbers what is in a function."""

_SIZE, _OBJECT, _POSITION = 32, 16, 24


def refuse_unresolvable(
    objects: Mapping[str, ObjectFile], shipped: Callable[[str], Shipped], where: Callable[[str], str]
) -> None:
    """:raises Refusal: ``symbol-not-found``, ``symbol-ambiguous``"""
    for obj in objects.values():
        for objname, name, position in _wanted(obj):
            holder = shipped(objname)
            places = holder.addresses(name)
            if not places:
                near = [f"there is {one}" for one in nearest(name, holder)]
                raise Refusal(SYMBOL_NOT_FOUND, where(name), f"{objname} has no {name}", evidence=near)
            if position > len(places):
                found = f"position {position} of {name} in {objname}, which has {len(places)}"
                raise Refusal(SYMBOL_NOT_FOUND, where(name), found)
            if len(set(places)) > 1 and not position:
                raise Refusal(
                    SYMBOL_AMBIGUOUS,
                    where(name),
                    f"{len(places)} symbols named {name} are in {objname}",
                    remedy="Say which: the fourth field of the entry is its position, from 1 in the order shown.",
                    evidence=candidates(holder, name),
                )


def _wanted(obj: ObjectFile) -> Iterator[tuple[str, str, int]]:
    tables = Tables(obj)
    for _, symbol in obj.symbols_of_type(STT_OBJECT):
        if not _TABLE.fullmatch(symbol.name) or symbol.size % _SIZE:
            continue
        for offset in range(symbol.value, symbol.value + symbol.size, _SIZE):
            named = tables.pointers.get((symbol.shndx, offset))
            name = text(obj, named) if named is not None else None
            if not name:
                continue
            holder = tables.pointers.get((symbol.shndx, offset + _OBJECT))
            objname = text(obj, holder) if holder is not None else None
            data = obj.sections[symbol.shndx].data
            yield objname or VMLINUX, name, struct.unpack_from("<Q", data, offset + _POSITION)[0]
