# SPDX-License-Identifier: GPL-2.0-or-later
"""An author's objects, made ready to be linked with tables that Suture writes.

A livepatch module registers its own tables, and needs none of this unless it replaces system calls
by their old names. For a kGraft module the core's tables are written from what kGraft's say; new
functions are mostly static, so that they get names that the glue can use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from suture.elf.object import STB_GLOBAL, STT_FUNC, STT_OBJECT, ObjectFile, Symbol
from suture.errors import LIVEPATCH_TABLE_MALFORMED, NOT_A_LIVE_PATCH, Refusal
from suture.link.klp import ENTRY
from suture.model import LivePatch
from suture.module.inspect import inspect

ENABLE, OUR_ENABLE = "klp_enable_patch", "livepatch_enable_patch"

STATES = "livepatch_authors_states"
"""Begins the global names of authors' tables of states."""

_EXTERNAL_SIZE, _STATES = 32, 16
"""Bytes of what an author sets in ``struct klp_patch``: mod, objs, states, replace; and where
`states` stands (include/linux/livepatch.h)."""


def named(
    objects: Mapping[str, ObjectFile], wanted: Sequence[Symbol], first: int = 0
) -> dict[str, ObjectFile]:
    """Objects in which every wanted function has a global name besides its own: `ENTRY` and a
    number.

    :param wanted: symbols as the object has them that uses them.
    :param first: number of the first name.
    :raises Refusal: ``livepatch-table-malformed`` (one of them is nowhere, or in two places)
    """
    added: dict[str, list[Symbol]] = {file: [] for file in objects}
    for number, symbol in enumerate(wanted, first):
        file, found = _definition(objects, symbol)
        added[file].append(replace(found, name=f"{ENTRY}{number}", bind=STB_GLOBAL, type=STT_FUNC))
    return {
        file: replace(obj, symbols=(*obj.symbols, *added[file])) for file, obj in objects.items()
    }


def function(objects: Mapping[str, ObjectFile], name: str) -> Symbol:
    """The function of a name.

    :raises Refusal: ``livepatch-table-malformed``
    """
    found = [
        one
        for obj in objects.values()
        for one in obj.symbols
        if one.name == name and one.is_defined_here
    ]
    if len(found) != 1:
        where = ", ".join(objects)
        raise Refusal(
            LIVEPATCH_TABLE_MALFORMED, where, f"{len(found) or 'no'} functions are called {name}"
        )
    return found[0]


def _definition(objects: Mapping[str, ObjectFile], symbol: Symbol) -> tuple[str, Symbol]:
    for file, obj in objects.items():
        if symbol.is_defined_here and any(symbol is one for one in obj.symbols):
            return file, symbol
    for file, obj in objects.items():
        for one in obj.symbols:
            if one.name == symbol.name and one.is_defined_here and one.bind == STB_GLOBAL:
                return file, one
    raise Refusal(
        LIVEPATCH_TABLE_MALFORMED,
        ", ".join(objects),
        f"{symbol.name}() is not defined in this module",
    )


def own_tables(module: ObjectFile, where: str) -> LivePatch:
    """What a livepatch module's own tables say.

    :raises Refusal: ``livepatch-table-malformed``
    """
    try:
        return inspect(module).patch
    except Refusal as refusal:
        if refusal.kind is not NOT_A_LIVE_PATCH:
            raise
        raise Refusal(LIVEPATCH_TABLE_MALFORMED, where, refusal.found) from refusal


def without_tables(objects: Mapping[str, ObjectFile]) -> dict[str, ObjectFile]:
    """The objects of a livepatch module, calling `OUR_ENABLE`, and with no functions in their own
    ``struct klp_patch``.

    Its states stay, for it asks for them by that structure (``klp_get_state()``).
    """
    return {file: _without_tables(obj) for file, obj in objects.items()}


def with_states(
    objects: Mapping[str, ObjectFile], number: int
) -> tuple[dict[str, ObjectFile], str]:
    """The objects, in which the table of a module's states has a global name, and the name; ""
    where it has no states.

    The core is to have that very table: callbacks write to it, and a later live patch reads what
    they wrote (Documentation/livepatch/system-state.rst).
    """
    for file, obj in objects.items():
        for patch in _patches(obj):
            for relocation in obj.relocations[patch.shndx]:
                if relocation.offset == patch.value + _STATES:
                    table = obj.symbols[relocation.symbol]
                    if not table.is_defined_here:
                        return dict(objects), table.name
                    place = table.value + relocation.addend
                    name = f"{STATES}_{number}"
                    added = Symbol(name, place, 0, STT_OBJECT, STB_GLOBAL, table.shndx)
                    return {**objects, file: replace(obj, symbols=(*obj.symbols, added))}, name
    return dict(objects), ""


def _without_tables(obj: ObjectFile) -> ObjectFile:
    symbols = tuple(
        replace(symbol, name=OUR_ENABLE)
        if symbol.is_undefined and symbol.name == ENABLE
        else symbol
        for symbol in obj.symbols
    )
    relocations = dict(obj.relocations)
    for patch in _patches(obj):
        fields = set(range(patch.value, patch.value + _EXTERNAL_SIZE)) - {patch.value + _STATES}
        own = relocations[patch.shndx]
        relocations[patch.shndx] = tuple(
            relocation for relocation in own if relocation.offset not in fields
        )
    return replace(obj, symbols=symbols, relocations=relocations)


def _patches(obj: ObjectFile) -> Iterator[Symbol]:
    """Every ``struct klp_patch``: it begins with ``THIS_MODULE``."""
    owners = {
        (section, relocation.offset)
        for section, relocations in obj.relocations.items()
        for relocation in relocations
        if obj.symbols[relocation.symbol].name == "__this_module"
    }
    return (
        symbol
        for _, symbol in obj.symbols_of_type(STT_OBJECT)
        if (symbol.shndx, symbol.value) in owners
    )


# --- several modules in one: which init and exit functions run when, as C (``templates/several.c``)

GLUE_DEFINES = frozenset({"kgr_patch_kernel", OUR_ENABLE, "__this_module"})
"""What an author's objects refer to and the other files of the module define."""

_OWN = {"init_module": "livepatch_authors_init", "cleanup_module": "livepatch_authors_exit"}
"""The names by which the loader finds a module's init and exit functions (include/linux/module.h:
module_init())."""


@dataclass(frozen=True, slots=True)
class Author:
    """One author's init and exit functions.  :ivar init, exit: global symbols; "" where there is
    none."""

    init: str
    exit: str


def told_apart(
    objects: Mapping[str, ObjectFile], number: int
) -> tuple[dict[str, ObjectFile], Author]:
    """The objects with names for init and exit functions that no other author's have."""
    names = {own: f"{name}_{number}" for own, name in _OWN.items()}
    defined = {
        symbol.name
        for obj in objects.values()
        for symbol in obj.symbols
        if symbol.is_defined_here and symbol.name in names
    }
    renamed = {
        file: replace(
            obj,
            symbols=tuple(replace(one, name=names.get(one.name, one.name)) for one in obj.symbols),
        )
        for file, obj in objects.items()
    }
    init, exit_ = (names[own] if own in defined else "" for own in _OWN)
    return renamed, Author(init, exit_)


def defined_by(objects: Mapping[str, ObjectFile]) -> frozenset[str]:
    """Global names that an author's objects have among themselves, and those that the glue
    defines."""
    return GLUE_DEFINES | {
        symbol.name
        for obj in objects.values()
        for symbol in obj.symbols
        if symbol.bind == STB_GLOBAL and symbol.is_defined_here
    }


def pieces(authors: Sequence[Author]) -> dict[str, str]:
    """What the template leaves open."""
    declarations = [f"extern int {one.init}(void);" for one in authors if one.init]
    declarations += [f"extern void {one.exit}(void);" for one in authors if one.exit]
    inits: list[str] = []
    for number, one in enumerate(authors):
        if one.init:
            inits += [f"\terror = {one.init}();", "\tif (error)", f"\t\tgoto undo_{number};"]
    undo: list[str] = []
    for number in range(len(authors) - 1, -1, -1):
        # Where this one's init failed, its own exit is not called: only what comes after the label.
        undo += [f"\t{authors[number].exit}();"] if authors[number].exit else []
        undo += [f"undo_{number}:"] if authors[number].init else []
    exits = [f"\t{one.exit}();" for one in reversed(authors) if one.exit]
    return {
        "declarations": "\n".join(declarations),
        "inits": "\n".join(inits),
        "undo": "\n".join(undo),
        "exits": "\n".join(exits),
    }
