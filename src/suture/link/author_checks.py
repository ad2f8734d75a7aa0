# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of the tables in authors' modules.

An array for the core must end with an empty entry.  The core walks ``struct klp_object[]``,
``struct klp_func[]`` and ``struct klp_state[]`` until it finds one (include/linux/livepatch.h:
``klp_for_each_object_static``, ``klp_for_each_func_static``; kernel/livepatch/state.c:
``klp_for_each_state``).  Without it, the core takes the next bytes in memory for one more entry,
while a reader that stops at the array's end sees a shorter table.

The symbols that fixes in SUSE's directories look up must exist, and be unique or positioned.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping

from suture.elf.object import STT_OBJECT, ObjectFile
from suture.errors import LIVEPATCH_TABLE_MALFORMED, SYMBOL_AMBIGUOUS, SYMBOL_NOT_FOUND, Refusal
from suture.model import VMLINUX
from suture.module.inspect import Place, Tables, patches, text
from suture.module.klp_structs import OBJECT_FUNCTIONS, PATCH_OBJECTS, PATCH_STATES
from suture.verify.shipped import Shipped
from suture.verify.sympos import candidates, nearest

Where = Callable[[str], str]

STRUCTS = ("klp_object", "klp_func", "klp_state")


def refuse_unterminated(module: ObjectFile, sizes: Mapping[str, int], where: Where) -> None:
    """Refuse a module with a table that does not end with an empty entry.

    samples/livepatch/livepatch-sample.c ends both of its arrays with ``{ }``.  Without the one in
    ``funcs[]``, the core would take the start of the next variable for a function's name.

    :param sizes: of `STRUCTS` in the target, in bytes.
    :param where: returns the place in the source that mentions a name, for the message.
    :raises Refusal: ``livepatch-table-malformed``
    """
    tables = Tables(module)
    found = list(patches(tables))
    if len(found) > 1:
        raise Refusal(
            LIVEPATCH_TABLE_MALFORMED,
            where("klp_patch"),
            f"there are {len(found)} structures klp_patch",
        )
    if len(sizes) < len(STRUCTS):
        return  # a target without BTF: the size of an entry is unknown
    for section, offset in found:
        states = tables.pointers.get((section, offset + PATCH_STATES))
        if states is not None:
            _entries(tables, states, sizes["klp_state"], "klp_state", where)
        objects = tables.pointers[section, offset + PATCH_OBJECTS]
        for place in _entries(tables, objects, sizes["klp_object"], "klp_object", where):
            functions = tables.pointers.get((place[0], place[1] + OBJECT_FUNCTIONS))
            if functions is not None:
                _entries(tables, functions, sizes["klp_func"], "klp_func", where)


def _entries(tables: Tables, start: Place, size: int, struct: str, where: Where) -> list[Place]:
    """Return the places of the entries before the empty one."""
    section, offset = start
    end = tables.end_of_array(start)
    entries: list[Place] = []
    while offset + size <= end:
        if _is_empty(tables, (section, offset), size):
            return entries
        entries.append((section, offset))
        offset += size
    name = next(
        (s.name for s in tables.module.symbols if (s.shndx, s.value) == start and s.name), ""
    )
    found = f"the table {name} does not end with an empty struct {struct}"
    raise Refusal(LIVEPATCH_TABLE_MALFORMED, where(name), found)


def _is_empty(tables: Tables, place: Place, size: int) -> bool:
    section, offset = place
    data = tables.module.sections[section].data[offset : offset + size]
    return not any(data) and next(tables.pointers_in(section, offset, offset + size), None) is None


# --- lookups
#
# Fixes in SUSE's directories look symbols up when they are loaded
# (``formats/include/suse/kallsyms_relocs.h``).
#
# A lookup that finds no symbol, or several, would fail on the host only.  So the tables are checked
# when the module is built.  The fields of ``struct klp_kallsyms_reloc`` are a name, the place for
# the address, an object or NULL, and a position.

_TABLE = re.compile(r"klp_(?:funcs|relocs|syms)(?:\.\d+)?")
"""Its names in SUSE's templates; the compiler numbers a variable inside a function."""

_SIZE, _OBJECT, _POSITION = 32, 16, 24


def refuse_unresolvable(
    objects: Mapping[str, ObjectFile],
    shipped: Callable[[str], Shipped],
    where: Callable[[str], str],
) -> None:
    """Refuse a lookup that finds no symbol, or one of several.

    For example, Debian's 6.1 has three static functions ``c_start`` (in arch/x86/kernel/cpu/proc.c,
    fs/proc/consoles.c and crypto/proc.c): a lookup of that name needs a position.

    :param shipped: returns an object of the target by name.
    :param where: returns the place in the source that mentions a name, for the message.
    :raises Refusal: ``symbol-not-found``, ``symbol-ambiguous``
    """
    for obj in objects.values():
        for objname, name, position in _wanted(obj):
            holder = shipped(objname)
            places = holder.addresses(name)
            if not places:
                near = [f"there is {one}" for one in nearest(name, holder)]
                raise Refusal(
                    SYMBOL_NOT_FOUND, where(name), f"{objname} has no {name}", evidence=near
                )
            if position > len(places):
                count = f"{objname} has {len(places)} symbols named {name}"
                found = f"{count}; there is no position {position}"
                raise Refusal(SYMBOL_NOT_FOUND, where(name), found)
            if len(set(places)) > 1 and not position:
                raise Refusal(
                    SYMBOL_AMBIGUOUS,
                    where(name),
                    f"{objname} has {len(places)} symbols named {name}",
                    remedy="Set the fourth field of the entry to its position, from 1 in the order "
                    "shown.",
                    evidence=candidates(holder, name),
                )


def _wanted(obj: ObjectFile) -> Iterator[tuple[str, str, int]]:
    tables, form = Tables(obj), f"{obj.machine.prefix}Q"
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
            (position,) = struct.unpack_from(form, data, offset + _POSITION)
            yield objname or VMLINUX, name, position
