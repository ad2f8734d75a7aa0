# SPDX-License-Identifier: GPL-2.0-or-later
"""How new code out of a module for kpatch's own core reaches what stays in the running kernel.

The file says of each symbol where it was in the kernel that it was made for; that has to hold for
the target.
"""

from __future__ import annotations

from collections.abc import Mapping

from suture.diff.output import Linked, Outside
from suture.errors import (
    KPATCH_OBJECT_FOREIGN,
    KPATCH_OBJECT_SHARED,
    MODULE_DEPENDENCY_NEW,
    SYMBOL_AMBIGUOUS,
    SYMBOL_NOT_FOUND,
    Kind,
    Refusal,
)
from suture.model import VMLINUX, ExternalSymbol
from suture.module.kpatch import Dynrela
from suture.objects.view import Unit
from suture.verify.kernel import Kernel
from suture.verify.shipped import Shipped
from suture.verify.sympos import sympos

DYNRELA = ".kpatch.dynrela."
"""Begins the names of the symbols that stand for places that kpatch's core fills in."""


class KpatchResolver:
    """A `suture.diff.output.Resolver` that goes by what the file says.

    :param name: the file, for messages.
    :param shipped: the object that the new code is for.
    :param places: replaced function -> its name and sympos in the target.
    """

    def __init__(
        self,
        name: str,
        shipped: Shipped,
        kernel: Kernel,
        dynrelas: tuple[Dynrela, ...],
        places: Mapping[Unit, tuple[str, int]],
    ) -> None:
        self._name = name
        self._shipped = shipped
        self._kernel = kernel
        self._dynrelas = dynrelas
        self._places = places

    def defined(self, unit: Unit) -> Outside:
        """A replaced function whose address is taken."""
        return ExternalSymbol(self._shipped.objname, *self._places[unit])

    def undefined(self, name: str) -> Outside:
        if not name.startswith(DYNRELA):
            return self._exported(name)
        dynrela = self._dynrelas[int(name.removeprefix(DYNRELA))]
        if not dynrela.owner:
            return self._exported(dynrela.name)
        if dynrela.owner not in (VMLINUX, self._shipped.objname):
            found = f"{dynrela.owner} is filled in with {dynrela.objname}, and the code is for {self._shipped.objname}"
            raise Refusal(KPATCH_OBJECT_SHARED, f"{self._name}: {dynrela.name}", found)
        owner = self._kernel.shipped(dynrela.owner)
        address = find_symbol(
            f"{self._name}: {dynrela.name}", owner, dynrela.name, dynrela.address, dynrela.sympos
        )
        return ExternalSymbol(owner.objname, dynrela.name, sympos(owner, dynrela.name, address))

    def _exported(self, name: str) -> Outside:
        export = self._kernel.symvers.get(name)
        where = f"{self._name}: {name}"
        if export is None:
            raise Refusal(SYMBOL_NOT_FOUND, where, "is not exported by this kernel")
        if export.module == VMLINUX and not export.namespace:
            return Linked(name)
        own = self._shipped.objname
        if export.module != VMLINUX and (
            own == VMLINUX or export.module not in (own, *self._kernel.needed(own))
        ):
            raise Refusal(
                MODULE_DEPENDENCY_NEW,
                where,
                f"is in module {export.module}, which {own} does not depend on",
            )
        owner = self._kernel.shipped(export.module)
        return ExternalSymbol(
            owner.objname, name, sympos(owner, name, find_symbol(where, owner, name, 0, None))
        )


def find_symbol(
    where: str,
    shipped: Shipped,
    name: str,
    address: int,
    position: int | None,
    missing: Kind = SYMBOL_NOT_FOUND,
) -> int:
    """A symbol of the target by what the file says of it.

    :param address: as the kernel was linked, or 0.
    :param position: among its namesakes, from 1; 0 for one alone; None where the file does not say.
    :param missing: why it is refused where there is none.
    """
    places = shipped.addresses(name)
    if not places:
        raise Refusal(missing, where, f"{shipped.objname} has no symbol of that name")
    if address and shipped.objname == VMLINUX:
        if address not in places:
            found = f"was at {address:#x}; in this kernel it is at {', '.join(f'{place:#x}' for place in places)}"
            raise Refusal(KPATCH_OBJECT_FOREIGN, where, found)
        return address
    if position and position <= len(places):
        return places[position - 1]
    if position or len(places) > 1:
        which = f"number {position} of them" if position else "which of them"
        raise Refusal(
            SYMBOL_AMBIGUOUS,
            where,
            f"{len(places)} symbols of that name are in {shipped.objname}: {which}?",
        )
    return places[0]
