# SPDX-License-Identifier: GPL-2.0-or-later
"""How an author's module reaches what it names and may not link against.

kbuild leaves such a symbol undefined.  It is looked for in this order, and what is found under that
name is what C would have meant:

1. what the core kernel exports is linked, as by any module;
2. global symbols of the core kernel that it does not export become livepatch symbols;
3. what a module exports is linked, and pulls that module in; if the live patch patches that module,
   it becomes a livepatch symbol;
4. static symbols of the core kernel, then symbols of the patched modules, become livepatch symbols,
   if the name is theirs alone.

An author can say more: ``KLP_RELOC_SYMBOL()`` names object and position.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from suture.elf.object import STB_WEAK, ObjectFile, Symbol
from suture.errors import (
    INIT_REFERENCED,
    MODULE_REFERENCE_UNSAFE,
    OBJECT_NOT_PATCHED,
    SYMBOL_AMBIGUOUS,
    SYMBOL_NOT_FOUND,
    Refusal,
)
from suture.kernel.symvers import Symvers
from suture.model import VMLINUX, ExternalSymbol
from suture.verify.shipped import Shipped
from suture.verify.sympos import candidates, nearest, sympos

_SUSE = re.compile(r"\.klp\.sym\.rela\.([^.]+)\.([^.]+)\.(.+),(\d+)")
_PENDING_BY_AUTHOR = re.compile(r"\.klp\.sym\.([^.]+)\.(.+),(\d+)")
_POSITIONED = re.compile(r"(\w+),(\d+)")

_WRITABLE_LATER = (".text", ".data", ".rodata", ".bss")
"""What begins the names of sections into which the core can write when a module comes: they stay,
and nobody else has looked at them by then.  ``.init.*`` is gone; jump labels, static calls and
alternatives have been applied."""


@dataclass(frozen=True, slots=True)
class ResolvedSymbol:
    """What a name stands for.

    :ivar patched: the object with which the core resolves it.
    """

    patched: str
    symbol: ExternalSymbol


class References:
    """Finds symbols for one module.

    :param shipped: gives an object of the target by name.
    :param patched: names of the objects that the live patch patches.
    :param where: gives the place in the source that mentions a name, for messages.
    """

    def __init__(
        self,
        symvers: Symvers,
        shipped: Callable[[str], Shipped],
        patched: Sequence[str],
        where: Callable[[str], str],
    ) -> None:
        self._symvers = symvers
        self._shipped = shipped
        self._patched = [name for name in patched if name != VMLINUX]
        self._where = where

    def where(self, name: str) -> str:
        return self._where(name)

    def find(self, name: str) -> ResolvedSymbol | None:
        """Where a symbol is; None where it is linked as by any module.

        :raises Refusal: ``symbol-not-found``, ``symbol-ambiguous``, ``init-referenced``,
            ``object-not-patched``
        """
        if match := _SUSE.fullmatch(name):
            return self._named(match[1], match[2], match[3], int(match[4]))
        if match := _PENDING_BY_AUTHOR.fullmatch(name):
            return self._named(match[1], match[1], match[2], int(match[3]))
        if match := _POSITIONED.fullmatch(name):
            return self._at(match[1], int(match[2]))
        export = self._symvers.get(name)
        vmlinux = self._shipped(VMLINUX)
        if export is not None and export.module == VMLINUX and not export.namespace:
            return None
        if vmlinux.global_addresses(name):
            return self._sole(vmlinux, name, vmlinux.global_addresses(name))
        if export is not None and export.module not in (VMLINUX, *self._patched):
            return None
        if export is not None and export.module in self._patched:
            exporter = self._shipped(export.module)
            return self._sole(exporter, name, exporter.global_addresses(name))
        if vmlinux.addresses(name):
            return self._sole(vmlinux, name, vmlinux.addresses(name))
        holders = [
            self._shipped(module)
            for module in self._patched
            if self._shipped(module).addresses(name)
        ]
        if len(holders) == 1:
            holder = holders[0]
            return self._sole(holder, name, holder.global_addresses(name) or holder.addresses(name))
        if holders:
            objects = " and in ".join(holder.objname for holder in holders)
            raise Refusal(
                SYMBOL_AMBIGUOUS, self._where(name), f"{name} is in {objects}", remedy=SAY_WHICH
            )
        raise self._not_found(name, (VMLINUX, *self._patched))

    def _named(self, patched: str, objname: str, name: str, position: int) -> ResolvedSymbol:
        """What an author has placed: the name has to be there, at that position, and be clear
        without one."""
        if patched != VMLINUX and patched not in self._patched:
            found = f"{name} is to be resolved with {patched}, of which nothing is replaced"
            raise Refusal(OBJECT_NOT_PATCHED, self._where(name), found)
        shipped = self._shipped(objname)
        places = shipped.addresses(name)
        if not places:
            raise self._not_found(name, (objname,))
        if position == 0:
            return ResolvedSymbol(patched, self._sole(shipped, name, places).symbol)
        if position > len(places):
            found = f"position {position} of {name} in {objname}, which has {len(places)}"
            raise Refusal(SYMBOL_NOT_FOUND, self._where(name), found)
        self._refuse_discarded(shipped, name, places[position - 1])
        return ResolvedSymbol(
            patched, ExternalSymbol(objname, name, position if len(places) > 1 else 0)
        )

    def _at(self, name: str, position: int) -> ResolvedSymbol:
        objname = next(
            (one for one in (VMLINUX, *self._patched) if self._shipped(one).addresses(name)),
            VMLINUX,
        )
        return self._named(objname, objname, name, position)

    def _sole(self, shipped: Shipped, name: str, places: Sequence[int]) -> ResolvedSymbol:
        if len(set(places)) != 1:
            raise Refusal(
                SYMBOL_AMBIGUOUS,
                self._where(name),
                f"{len(places)} symbols named {name} are in {shipped.objname}",
                remedy=SAY_WHICH,
                evidence=candidates(shipped, name),
            )
        self._refuse_discarded(shipped, name, places[0])
        symbol = ExternalSymbol(shipped.objname, name, sympos(shipped, name, places[0]))
        return ResolvedSymbol(shipped.objname, symbol)

    def _refuse_discarded(self, shipped: Shipped, name: str, address: int) -> None:
        if shipped.is_discarded(address):
            found = f"{name} is in the part of {shipped.objname} that is freed after init"
            raise Refusal(INIT_REFERENCED, self._where(name), found)

    def _not_found(self, name: str, objnames: Iterable[str]) -> Refusal:
        near = [one for objname in objnames for one in nearest(name, self._shipped(objname))]
        return Refusal(
            SYMBOL_NOT_FOUND,
            self._where(name),
            f"{' and '.join(objnames)} {'have' if len(tuple(objnames)) > 1 else 'has'} no {name}",
            evidence=[f"there is {one}" for one in near],
        )


SAY_WHICH = (
    "Say which: KLP_RELOC_SYMBOL_POS(PATCHED, OBJECT, NAME, POSITION) on a declaration of it names one for sure; "
    "positions count from 1 in the order shown."
)


def pending(
    module: ObjectFile, references: References, elsewhere: Collection[str] = ()
) -> ObjectFile:
    """Give undefined symbols that the core is to resolve the names by which
    `suture.link.klp.finish` knows them.

    :param elsewhere: names that other files of the same module define.
    :raises Refusal: what `References.find` raises, ``module-reference-unsafe``
    """
    used = {
        relocation.symbol
        for relocations in module.relocations.values()
        for relocation in relocations
    }
    places: dict[int, ResolvedSymbol] = {}
    for index, symbol in enumerate(module.symbols):
        if (
            index not in used
            or not symbol.is_undefined
            or not symbol.name
            or symbol.name in elsewhere
        ):
            continue
        try:
            place = references.find(symbol.name)
        except Refusal:
            if symbol.bind == STB_WEAK:
                continue  # 0, as the linker has it
            raise
        if place is not None:
            places[index] = place
    _refuse_unsafe(module, places, references)
    symbols = tuple(
        _renamed(symbol, places.get(index)) for index, symbol in enumerate(module.symbols)
    )
    return replace(module, symbols=symbols)


def _renamed(symbol: Symbol, place: ResolvedSymbol | None) -> Symbol:
    return symbol if place is None else replace(symbol, name=f"{place.patched}:{place.symbol}")


def _refuse_unsafe(
    module: ObjectFile, places: Mapping[int, ResolvedSymbol], references: References
) -> None:
    """What is resolved when a module comes is written then, into a live patch that has long been
    loaded."""
    late = {index: place for index, place in places.items() if place.symbol.objname != VMLINUX}
    for section, relocations in module.relocations.items():
        name = module.sections[section].name
        for relocation in relocations:
            place = late.get(relocation.symbol)
            if place is not None and not name.startswith(_WRITABLE_LATER):
                found = f"{place.symbol.name} of {place.symbol.objname} is used in {name}"
                raise Refusal(MODULE_REFERENCE_UNSAFE, references.where(place.symbol.name), found)
