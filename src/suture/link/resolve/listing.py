# SPDX-License-Identifier: GPL-2.0-or-later
"""How a live patch reaches what stays in the running kernel, by a list of its symbols alone.

There is no shipped code to compare with, so nothing is proved: a name is taken for what the object
file says it is. What has its name for itself is found by it.  Static functions and variables of one
name in several source files are told apart where the list can do it: by ``STT_FILE`` symbols, or by
the symbols that stand around them in a module's symbol table.  Everything else is refused by name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property

from suture.diff.files import SourceFiles, pair_neighbours
from suture.diff.output import Linked, Outside
from suture.elf.object import STB_WEAK
from suture.errors import (
    FUNCTION_NOT_IN_KERNEL,
    INIT_REFERENCED,
    MODULE_DEPENDENCY_NEW,
    SYMBOL_AMBIGUOUS,
    SYMBOL_NOT_FOUND,
    Refusal,
)
from suture.kernel.listing import NO_FILE, ListedSymbol, Listing
from suture.kernel.symvers import Symvers
from suture.model import VMLINUX, ExternalSymbol
from suture.objects.locals import base, is_numbered
from suture.objects.view import Unit, View

BETTER_LIST = (
    "Give symbols that tell source files apart: an ELF file of the object with STT_FILE symbols (not stripped by "
    "'strip' or 'objcopy'). 'suture build' finds out by comparing with the shipped kernel."
)


class ListedResolver:
    """A `suture.diff.output.Resolver` for the original object `view`, which is part of
    `objname`."""

    def __init__(self, view: View, objname: str, listing: Listing, symvers: Symvers) -> None:
        self._view = view
        self._objname = objname
        self._listing = listing
        self._symvers = symvers
        self._files = SourceFiles(view.obj)

    def place(self, unit: Unit) -> ListedSymbol:
        """The listed symbol that a function or variable of the original object has.

        :raises Refusal: ``symbol-not-found``, ``symbol-ambiguous``
        """
        names = (unit.name, *unit.aliases)
        found = [symbol for name in names for symbol in self._listing.named(self._objname, name)]
        # A name that is global here is no other file's static one, and the other way round.
        fitting = [symbol for symbol in found if symbol.is_global is not (unit.is_local)]
        where = self._where(unit.name)
        if not fitting:
            of_which = "static" if unit.is_local else "global"
            rest = f"; the {len(found)} of that name are not {of_which}" if found else ""
            raise Refusal(
                SYMBOL_NOT_FOUND,
                where,
                f"{self._listing.where} has no {of_which} symbol of {self._objname} for it{rest}",
            )
        return self._static(unit, fitting) if unit.is_local else self._sole(unit.name, fitting)

    def replaced(self, unit: Unit) -> ListedSymbol:
        """The same for a function that is to be replaced: a weak one that another file overrides is
        not the kernel's.

        :raises Refusal: as `place`, ``function-not-in-kernel``
        """
        symbol = self.place(unit)
        if self._is_weak(unit) and not symbol.is_weak:
            found = "is weak, and the kernel has another of that name in its place"
            raise Refusal(FUNCTION_NOT_IN_KERNEL, self._where(unit.name), found)
        return symbol

    def position(self, symbol: ListedSymbol) -> int:
        """`sympos`: 0 where the name is unique in the object, else its 1-based position (struct
        klp_func).

        :raises Refusal: ``symbol-ambiguous`` where it changes: while a module is being loaded its
            init symbols count, later they do not (kernel/module/kallsyms.c: layout_symtab())
        """
        namesakes = self._listing.named(symbol.objname, symbol.name)
        if len(namesakes) == 1:
            return 0
        where = self._where(symbol.name)
        if symbol.objname != VMLINUX:
            if not self._listing.knows_init:
                raise Refusal(
                    SYMBOL_AMBIGUOUS,
                    where,
                    f"{len(namesakes)} symbols of that name are in {symbol.objname}, perhaps more while it is loaded",
                    remedy="Give the module's own file with --symbols; it also has what is freed after init.",
                )
            if any(namesake.is_discarded for namesake in namesakes):
                raise Refusal(
                    SYMBOL_AMBIGUOUS,
                    where,
                    f"one of its namesakes in {symbol.objname} is freed after init",
                )
        return list(namesakes).index(symbol) + 1

    def defined(self, unit: Unit) -> Outside:
        """:raises Refusal: as `place` and `position`, ``init-referenced``"""
        if self._objname == VMLINUX and not unit.is_local:
            linkable = next(
                (name for name in (unit.name, *unit.aliases) if self._is_linkable(name)), None
            )
            if linkable is not None:
                return Linked(linkable)
        return self._external(self.place(unit))

    def undefined(self, name: str) -> Outside:
        """:raises Refusal: as `defined`, ``module-dependency-new``"""
        if self._is_linkable(name):
            return Linked(name)
        own = self._visible(self._objname, name)
        if own:
            return self._external(self._sole(name, own))
        export = self._symvers.get(name)
        holder = VMLINUX if export is None else export.module
        if holder not in (VMLINUX, self._objname):
            self._refuse_unloaded(name, holder)
        listed = self._visible(holder, name)
        if listed:
            return self._external(self._sole(name, listed))
        if export is not None and not self._listing.lists(holder):
            # The core takes position 0 for a name that is unique, and refuses to load where it is
            # not (kernel/livepatch/core.c: klp_find_object_symbol()).
            return ExternalSymbol(holder, name, 0)
        raise Refusal(
            SYMBOL_NOT_FOUND,
            self._where(name),
            f"the target does not export it, and {self._listing.where} has no global symbol of that name",
        )

    def _visible(self, objname: str, name: str) -> list[ListedSymbol]:
        return [
            symbol for symbol in self._listing.named(objname, name) if symbol.is_global is not False
        ]

    def _refuse_unloaded(self, name: str, exporter: str) -> None:
        """The core refuses to let a module in while a symbol that the live patch needs for it is
        not there."""
        used = self._listing.needs | {
            symbol.name for symbol in self._view.obj.symbols if symbol.is_undefined
        }
        exports = (self._symvers.get(symbol) for symbol in used)
        if self._objname == VMLINUX or all(
            export is None or export.module != exporter for export in exports
        ):
            found = f"is in module {exporter}, which {self._objname} is not known to depend on"
            raise Refusal(MODULE_DEPENDENCY_NEW, self._where(name), found)

    def _is_linkable(self, name: str) -> bool:
        """Exported by the core kernel, and in no namespace (which the module would have to
        import)."""
        export = self._symvers.get(name)
        return export is not None and export.module == VMLINUX and not export.namespace

    def _sole(self, name: str, symbols: Sequence[ListedSymbol]) -> ListedSymbol:
        if len({symbol.place for symbol in symbols}) != 1:
            raise self._ambiguous(name, len(symbols))
        return symbols[0]

    def _static(self, unit: Unit, symbols: Sequence[ListedSymbol]) -> ListedSymbol:
        file = self._files.file_of(unit)
        name = self._files.names[file] if file != NO_FILE else ""
        if name and self._listing.files_named(name):
            return self._of_file(unit, symbols, name, file)
        neighbours = self._neighbours.get(self._files.position(unit))
        if neighbours is not None:
            return neighbours
        if len({symbol.place for symbol in symbols}) != 1:
            raise self._ambiguous(unit.name, len(symbols))
        if is_numbered(unit.name) and not unit.is_function:
            # Compilers number variables through the whole file: another file's may have this very
            # number.
            namesakes = self._by_base[base(unit.name)]
            if len(namesakes) != 1:
                raise self._ambiguous(unit.name, len(namesakes))
        return symbols[0]

    def _of_file(
        self, unit: Unit, symbols: Sequence[ListedSymbol], name: str, file: int
    ) -> ListedSymbol:
        """One of several listed files of that name; the one that has all the static symbols of
        ours."""
        wanted = self._files.locals_of(file)
        candidates = self._listing.files_named(name)
        fitting = [each for each in candidates if wanted <= self._listing.names_in(each)]
        fitting = fitting or candidates
        inside = [symbol for symbol in symbols if symbol.file in fitting]
        if not inside:
            found = f"{self._listing.where} has no static symbol of that name in {name}"
            raise Refusal(SYMBOL_NOT_FOUND, self._where(unit.name), found)
        if len(fitting) != 1 or len({symbol.place for symbol in inside}) != 1:
            raise self._ambiguous(unit.name, len(inside))
        return inside[0]

    @cached_property
    def _neighbours(self) -> dict[int | None, ListedSymbol]:
        """Position in our symbol table -> listed symbol, for a module's file: it keeps the order of
        the objects."""
        if self._objname == VMLINUX or not self._listing.knows_init:
            return {}
        listed = [symbol for symbol in self._listing.symbols if not symbol.is_global]
        pairs = pair_neighbours([symbol.name for symbol in listed], self._files.order)
        return {ours: listed[theirs] for ours, theirs in pairs.items()}

    @cached_property
    def _by_base(self) -> dict[str, set[tuple[int, int]]]:
        found: dict[str, set[tuple[int, int]]] = defaultdict(set)
        for symbol in self._listing.symbols:
            if symbol.objname == self._objname and not symbol.is_global:
                found[base(symbol.name)].add(symbol.place)
        return found

    def _is_weak(self, unit: Unit) -> bool:
        return any(
            symbol.bind == STB_WEAK and (symbol.shndx, symbol.value) == (unit.section, unit.start)
            for symbol in self._view.obj.symbols
        )

    def _external(self, symbol: ListedSymbol) -> ExternalSymbol:
        if symbol.is_discarded:
            found = f"is in the part of {symbol.objname} that is freed after init"
            raise Refusal(INIT_REFERENCED, self._where(symbol.name), found)
        return ExternalSymbol(symbol.objname, symbol.name, self.position(symbol))

    def _ambiguous(self, name: str, count: int) -> Refusal:
        found = f"{count} symbols of that name are in {self._objname}, and the list does not say which is this file's"
        return Refusal(SYMBOL_AMBIGUOUS, self._where(name), found, remedy=BETTER_LIST)

    def _where(self, name: str) -> str:
        return f"{self._view.obj.name}: {name}"
