# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether an author's tables end where the core stops reading: at an empty entry.

The core walks ``struct klp_object[]``, ``struct klp_func[]`` and ``struct klp_state[]`` until it finds one
(include/linux/livepatch.h: ``klp_for_each_object_static``, ``klp_for_each_func_static``; kernel/livepatch/state.c:
``klp_for_each_state``).  Where the author forgot it, the core takes whatever follows in memory for one more, and
whoever reads the module with less trust sees a shorter table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from suture.elf.object import ObjectFile
from suture.errors import LIVEPATCH_TABLE_MALFORMED, Refusal
from suture.link.inspect import Place, Tables, patches

Where = Callable[[str], str]

STRUCTS = ("klp_object", "klp_func", "klp_state")

_OBJECTS, _STATES, _FUNCTIONS = 8, 16, 8
"""``klp_patch.objs`` and ``.states``, and ``klp_object.funcs``, in bytes from the start."""


def refuse_unterminated(module: ObjectFile, sizes: Mapping[str, int], where: Where) -> None:
    """:param sizes: of `STRUCTS` in the target, in bytes.
    :param where: gives the place in the source that mentions a name, for the message.
    :raises Refusal: ``livepatch-table-malformed``
    """
    tables = Tables(module)
    found = list(patches(tables))
    if len(found) > 1:
        raise Refusal(LIVEPATCH_TABLE_MALFORMED, where("klp_patch"), f"there are {len(found)} structures klp_patch")
    if len(sizes) < len(STRUCTS):
        return  # a target without BTF: nothing tells how long an entry is
    for section, offset in found:
        states = tables.pointers.get((section, offset + _STATES))
        if states is not None:
            _entries(tables, states, sizes["klp_state"], "klp_state", where)
        objects = tables.pointers[section, offset + _OBJECTS]
        for place in _entries(tables, objects, sizes["klp_object"], "klp_object", where):
            functions = tables.pointers.get((place[0], place[1] + _FUNCTIONS))
            if functions is not None:
                _entries(tables, functions, sizes["klp_func"], "klp_func", where)


def _entries(tables: Tables, start: Place, size: int, struct: str, where: Where) -> list[Place]:
    """The entries before the empty one."""
    section, offset = start
    end = tables.end_of_array(start)
    entries: list[Place] = []
    while offset + size <= end:
        if _is_empty(tables, (section, offset), size):
            return entries
        entries.append((section, offset))
        offset += size
    name = next((s.name for s in tables.module.symbols if (s.shndx, s.value) == start and s.name), "")
    found = f"the table {name} does not end with an empty struct {struct}"
    raise Refusal(LIVEPATCH_TABLE_MALFORMED, where(name), found)


def _is_empty(tables: Tables, place: Place, size: int) -> bool:
    section, offset = place
    data = tables.module.sections[section].data[offset : offset + size]
    return not any(data) and next(tables.pointers_in(section, offset, offset + size), None) is None
