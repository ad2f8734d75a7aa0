# SPDX-License-Identifier: GPL-2.0-or-later
"""Several authors' modules in one: whose init and exit functions run when, as C (``templates/several.c``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from suture.elf.object import STB_GLOBAL, ObjectFile
from suture.link.authors import OUR_ENABLE

GLUE_DEFINES = frozenset({"kgr_patch_kernel", OUR_ENABLE, "__this_module"})
"""What an author's objects refer to and the other files of the module define."""

_OWN = {"init_module": "livepatch_authors_init", "cleanup_module": "livepatch_authors_exit"}
"""The names by which the loader finds a module's init and exit functions (include/linux/module.h: module_init())."""


@dataclass(frozen=True, slots=True)
class Author:
    """One author's init and exit functions.  :ivar init, exit: global symbols; "" where there is none."""

    init: str
    exit: str


def told_apart(objects: Mapping[str, ObjectFile], number: int) -> tuple[dict[str, ObjectFile], Author]:
    """The objects with names for init and exit functions that no other author's have."""
    names = {own: f"{name}_{number}" for own, name in _OWN.items()}
    defined = {
        symbol.name
        for obj in objects.values()
        for symbol in obj.symbols
        if symbol.is_defined_here and symbol.name in names
    }
    renamed = {
        file: replace(obj, symbols=tuple(replace(one, name=names.get(one.name, one.name)) for one in obj.symbols))
        for file, obj in objects.items()
    }
    init, exit_ = (names[own] if own in defined else "" for own in _OWN)
    return renamed, Author(init, exit_)


def defined_by(objects: Mapping[str, ObjectFile]) -> frozenset[str]:
    """Global names that an author's objects have among themselves, and those that the glue defines."""
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
