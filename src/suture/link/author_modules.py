# SPDX-License-Identifier: GPL-2.0-or-later
"""An author's objects, prepared for the link with tables that Suture writes.

A livepatch module registers its own tables, and needs none of this unless it replaces system calls
by their old names. For a kGraft module, Suture writes the core's tables from kGraft's.  Most new
functions are static, so they get global names for the glue.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from suture.diff.output import AUTHORS
from suture.elf.object import (
    STB_GLOBAL,
    STT_FUNC,
    STT_OBJECT,
    ObjectFile,
    Relocation,
    Symbol,
)
from suture.errors import LIVEPATCH_TABLE_MALFORMED, NOT_A_LIVE_PATCH, Refusal
from suture.link.klp import ENTRY
from suture.model import LivePatch
from suture.module.inspect import inspect
from suture.module.klp_structs import PATCH_SIZE, PATCH_STATES

ENABLE, OUR_ENABLE = "klp_enable_patch", "livepatch_enable_patch"

STATES = f"{AUTHORS}states"
"""Begins the global names of authors' tables of states."""


def with_global_names(
    objects: Mapping[str, ObjectFile], wanted: Sequence[Symbol], first: int = 0
) -> dict[str, ObjectFile]:
    """Give each wanted function a global name besides its own: `ENTRY` and a number.

    :param wanted: the symbols, from the objects that use them.
    :param first: number of the first name.
    :raises Refusal: ``livepatch-table-malformed`` (no object defines one of them)
    """
    added: dict[str, list[Symbol]] = {file: [] for file in objects}
    for number, symbol in enumerate(wanted, first):
        file, found = _definition(objects, symbol)
        added[file].append(replace(found, name=f"{ENTRY}{number}", bind=STB_GLOBAL, type=STT_FUNC))
    return {
        file: replace(obj, symbols=(*obj.symbols, *added[file])) for file, obj in objects.items()
    }


def function_named(objects: Mapping[str, ObjectFile], name: str) -> Symbol:
    """Return the one function of a name.

    :raises Refusal: ``livepatch-table-malformed``
    """
    symbols = (symbol for obj in objects.values() for symbol in obj.symbols)
    found = [symbol for symbol in symbols if symbol.name == name and symbol.is_defined_here]
    if len(found) != 1:
        where = ", ".join(objects)
        raise Refusal(
            LIVEPATCH_TABLE_MALFORMED, where, f"{len(found) or 'no'} functions are called {name}"
        )
    return found[0]


def _definition(objects: Mapping[str, ObjectFile], symbol: Symbol) -> tuple[str, Symbol]:
    """Return the file that defines a symbol, and the symbol there.

    Identity goes first: two files of kGraft modules of one directory may each have a static
    ``meminfo_proc_show()``, with equal symbols.
    """
    for file, obj in objects.items():
        if symbol.is_defined_here and any(symbol is own for own in obj.symbols):
            return file, symbol
    for file, obj in objects.items():
        for other in obj.symbols:
            if other.name == symbol.name and other.is_defined_here and other.bind == STB_GLOBAL:
                return file, other
    raise Refusal(
        LIVEPATCH_TABLE_MALFORMED,
        ", ".join(objects),
        f"{symbol.name}() is not defined in this module",
    )


def own_tables(module: ObjectFile, where: str) -> LivePatch:
    """Read the live patch from a livepatch module's own tables.

    :raises Refusal: ``livepatch-table-malformed``
    """
    try:
        return inspect(module).patch
    except Refusal as refusal:
        if refusal.kind is not NOT_A_LIVE_PATCH:
            raise
        raise Refusal(LIVEPATCH_TABLE_MALFORMED, where, refusal.found) from refusal


def without_tables(objects: Mapping[str, ObjectFile]) -> dict[str, ObjectFile]:
    """Let the objects of a livepatch module call `OUR_ENABLE`, and empty their ``struct
    klp_patch``.

    Its states stay: the module finds them through that structure (``klp_get_state()``).
    """
    return {file: _without_tables(obj) for file, obj in objects.items()}


def with_states(
    objects: Mapping[str, ObjectFile], number: int
) -> tuple[dict[str, ObjectFile], str]:
    """Give the table of a module's states a global name.

    The core must use that very table: callbacks write to it, and a later live patch reads what they
    wrote (Documentation/livepatch/system-state.rst).

    :return: the objects, and the name; "" where the module has no states.
    """
    for file, obj in objects.items():
        for relocation in _state_pointers(obj):
            table = obj.symbols[relocation.symbol]
            if not table.is_defined_here:
                return dict(objects), table.name
            place = table.value + relocation.addend
            name = f"{STATES}_{number}"
            added = Symbol(name, place, 0, STT_OBJECT, STB_GLOBAL, table.shndx)
            return {**objects, file: replace(obj, symbols=(*obj.symbols, added))}, name
    return dict(objects), ""


def _state_pointers(obj: ObjectFile) -> Iterator[Relocation]:
    """Yield the relocation of `states` in every ``struct klp_patch``."""
    for patch in _patches(obj):
        for relocation in obj.relocations[patch.shndx]:
            if relocation.offset == patch.value + PATCH_STATES:
                yield relocation


def _without_tables(obj: ObjectFile) -> ObjectFile:
    symbols = tuple(
        replace(symbol, name=OUR_ENABLE)
        if symbol.is_undefined and symbol.name == ENABLE
        else symbol
        for symbol in obj.symbols
    )
    relocations = dict(obj.relocations)
    for patch in _patches(obj):
        fields = set(range(patch.value, patch.value + PATCH_SIZE)) - {patch.value + PATCH_STATES}
        own = relocations[patch.shndx]
        relocations[patch.shndx] = tuple(
            relocation for relocation in own if relocation.offset not in fields
        )
    return replace(obj, symbols=symbols, relocations=relocations)


def _patches(obj: ObjectFile) -> Iterator[Symbol]:
    """Yield every ``struct klp_patch``: it begins with ``THIS_MODULE``."""
    owners = set()
    for section, relocations in obj.relocations.items():
        for relocation in relocations:
            if obj.symbols[relocation.symbol].name == "__this_module":
                owners.add((section, relocation.offset))
    return (
        symbol
        for _, symbol in obj.symbols_of_type(STT_OBJECT)
        if (symbol.shndx, symbol.value) in owners
    )


# --- several modules in one: C that runs their init and exit functions (``templates/several.c``)

GLUE_DEFINES = frozenset({"kgr_patch_kernel", OUR_ENABLE, "__this_module"})
"""Symbols that an author's objects use and the module's other files define."""

_OWN = {"init_module": f"{AUTHORS}init", "cleanup_module": f"{AUTHORS}exit"}
"""Names by which the loader finds a module's init and exit functions (include/linux/module.h:
module_init()), and the beginnings of ours."""


@dataclass(frozen=True, slots=True)
class Author:
    """The init and exit functions of one author's module.

    :ivar init: a global symbol, or ""; `exit` likewise.
    """

    init: str
    exit: str


def with_own_init_names(
    objects: Mapping[str, ObjectFile], number: int
) -> tuple[dict[str, ObjectFile], Author]:
    """Rename an author's init and exit functions, which every module calls ``init_module`` and
    ``cleanup_module``, so that several can be linked into one."""
    names = {own: f"{name}_{number}" for own, name in _OWN.items()}
    symbols = [symbol for obj in objects.values() for symbol in obj.symbols]
    defined = {symbol.name for symbol in symbols if symbol.is_defined_here}
    renamed = {file: _renamed(obj, names) for file, obj in objects.items()}
    init, exit_ = (names[own] if own in defined else "" for own in _OWN)
    return renamed, Author(init, exit_)


def _renamed(obj: ObjectFile, names: Mapping[str, str]) -> ObjectFile:
    symbols = tuple(
        replace(symbol, name=names.get(symbol.name, symbol.name)) for symbol in obj.symbols
    )
    return replace(obj, symbols=symbols)


def defined_by(objects: Mapping[str, ObjectFile]) -> frozenset[str]:
    """Return the global names that an author's objects or the glue define."""
    symbols = (symbol for obj in objects.values() for symbol in obj.symbols)
    own = {
        symbol.name for symbol in symbols if symbol.bind == STB_GLOBAL and symbol.is_defined_here
    }
    return GLUE_DEFINES | own


def template_fields(authors: Sequence[Author]) -> dict[str, str]:
    """Return the fields of ``templates/several.c``: name -> C."""
    declarations = [f"extern int {author.init}(void);" for author in authors if author.init]
    declarations += [f"extern void {author.exit}(void);" for author in authors if author.exit]
    inits: list[str] = []
    for number, author in enumerate(authors):
        if author.init:
            inits += [f"\terror = {author.init}();", "\tif (error)", f"\t\tgoto undo_{number};"]
    undo: list[str] = []
    for number in range(len(authors) - 1, -1, -1):
        # Where this author's init failed, its own exit is not called: it stands before the label.
        undo += [f"\t{authors[number].exit}();"] if authors[number].exit else []
        undo += [f"undo_{number}:"] if authors[number].init else []
    exits = [f"\t{author.exit}();" for author in reversed(authors) if author.exit]
    return {
        "declarations": "\n".join(declarations),
        "inits": "\n".join(inits),
        "undo": "\n".join(undo),
        "exits": "\n".join(exits),
    }
