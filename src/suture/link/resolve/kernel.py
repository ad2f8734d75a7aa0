# SPDX-License-Identifier: GPL-2.0-or-later
"""How a live patch reaches what stays in the running kernel.

What the core kernel exports is linked as by any module, with its CRC checked.  Everything else
becomes a livepatch symbol, which the core looks up by object, name and position among namesakes.
Exports of other modules are looked up that way too: linked, they would pull their module in and pin
it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from suture.diff.output import Linked, Outside
from suture.errors import (
    INIT_REFERENCED,
    MODULE_DEPENDENCY_NEW,
    SYMBOL_AMBIGUOUS,
    SYMBOL_NOT_FOUND,
    Refusal,
)
from suture.kernel.symvers import Symvers
from suture.model import VMLINUX, ExternalSymbol
from suture.objects.view import Unit
from suture.verify.addresses import Addresses
from suture.verify.shipped import Shipped
from suture.verify.sympos import sympos


@dataclass(frozen=True, slots=True)
class Published:
    """A unit that was ``static`` and that the patch lets other files name: only its own file knows
    where it is."""

    addresses: Addresses
    unit: Unit


class KernelResolver:
    """A `suture.diff.output.Resolver` for one source file.

    :param addresses: of the file's original object in the object it belongs to.
    :param vmlinux: the core kernel.
    :param module: gives a module of the target by name.
    :param provided: names of new global symbols in any file of the live patch.
    :param published: name -> what it was before, in any file of the live patch.
    :param needed: gives the modules that are always loaded before a module.
    """

    def __init__(
        self,
        addresses: Addresses,
        symvers: Symvers,
        vmlinux: Shipped,
        module: Callable[[str], Shipped],
        provided: Collection[str] = (),
        published: Mapping[str, Published] | None = None,
        needed: Callable[[str], Collection[str]] = lambda _: (),
    ) -> None:
        self._addresses = addresses
        self._symvers = symvers
        self._vmlinux = vmlinux
        self._module = module
        self._provided = provided
        self._published = published or {}
        self._needed = needed

    def defined(self, unit: Unit) -> Outside:
        """:raises Refusal: ``symbol-not-found``, ``symbol-ambiguous``, ``pre-image-mismatch``"""
        shipped = self._addresses.shipped
        for name in (unit.name, *unit.aliases):
            if shipped.objname == VMLINUX and not unit.is_local and self._is_linkable(name):
                return Linked(name)
        address = self._addresses.of(unit)
        return self._external(shipped, self._addresses.name_at(unit, address), address)

    def undefined(self, name: str) -> Outside:
        """:raises Refusal: ``symbol-not-found``, ``symbol-ambiguous``, ``module-dependency-new``"""
        if name in self._published:
            return self._once_static(name, self._published[name])
        if name in self._provided:
            return Linked(name, is_new=True)
        if self._is_linkable(name):
            return Linked(name)
        own = self._addresses.shipped
        export = self._symvers.get(name)
        if own.objname != VMLINUX and own.global_addresses(name):
            return self._only(own, name, self._addresses.of_undefined(name))
        if export is not None and export.module != VMLINUX:
            self._refuse_unloaded(name, export.module)
            return self._only(self._module(export.module), name, None)
        address = self._addresses.of_undefined(name) if own.objname == VMLINUX else None
        return self._only(self._vmlinux, name, address)

    def _once_static(self, name: str, published: Published) -> ExternalSymbol:
        shipped = published.addresses.shipped
        if shipped.objname not in (VMLINUX, self._addresses.shipped.objname):
            self._refuse_unloaded(name, shipped.objname)
        address = published.addresses.of(published.unit)
        return self._external(
            shipped, published.addresses.name_at(published.unit, address), address
        )

    def _refuse_unloaded(self, name: str, exporter: str) -> None:
        """The core refuses to let a module in while a symbol that the live patch needs for it is
        not there."""
        own = self._addresses.shipped.objname
        if own == VMLINUX or exporter not in self._needed(own):
            where = f"{self._addresses.view.obj.name}: {name}"
            raise Refusal(
                MODULE_DEPENDENCY_NEW,
                where,
                f"is in module {exporter}, which {own} does not depend on",
            )

    def _is_linkable(self, name: str) -> bool:
        """Exported by the core kernel, and in no namespace (which we would have to import)."""
        export = self._symvers.get(name)
        return export is not None and export.module == VMLINUX and not export.namespace

    def _only(self, shipped: Shipped, name: str, address: int | None) -> ExternalSymbol:
        """:param address: where proven code found it, if any did."""
        places: Sequence[int] = shipped.addresses(name)
        where = f"{self._addresses.view.obj.name}: {name}"
        if address is None:
            visible = shipped.global_addresses(name)
            if not visible:
                raise Refusal(
                    SYMBOL_NOT_FOUND, where, f"{shipped.objname} has no global symbol of that name"
                )
            if len(visible) != 1:
                raise Refusal(
                    SYMBOL_AMBIGUOUS,
                    where,
                    f"{len(visible)} symbols of that name are in {shipped.objname}",
                )
            address = visible[0]
        if address not in places:
            raise Refusal(
                SYMBOL_NOT_FOUND, where, f"{shipped.objname} has it under another name only"
            )
        return self._external(shipped, name, address)

    def _external(self, shipped: Shipped, name: str, address: int) -> ExternalSymbol:
        if shipped.is_discarded(address):
            where = f"{self._addresses.view.obj.name}: {name}"
            raise Refusal(
                INIT_REFERENCED,
                where,
                f"is in the part of {shipped.objname} that is freed after init",
            )
        return ExternalSymbol(shipped.objname, name, sympos(shipped, name, address))
