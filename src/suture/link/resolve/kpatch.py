# SPDX-License-Identifier: GPL-2.0-or-later
"""Resolution of what the code of a module for kpatch's own core uses of the running kernel.

The file records the address of each symbol in the kernel that it was made for; the target must have
the symbol at that address.
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
"""Begins the names of symbols for the places that kpatch's core relocates."""


class KpatchResolver:
    """A `suture.diff.output.Resolver` that follows the file's own records.

    :param name: the file's name, for messages.
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
        """Resolve a replaced function where code takes its address."""
        return ExternalSymbol(self._shipped.objname, *self._places[unit])

    def undefined(self, name: str) -> Outside:
        """Resolve a symbol by its entry in ``.kpatch.dynrelas``, or else as an export.

        :raises Refusal: ``symbol-not-found``, ``symbol-ambiguous``, ``module-dependency-new``,
            ``kpatch-object-foreign``, ``kpatch-object-shared``
        """
        if not name.startswith(DYNRELA):
            return self._exported(name)
        dynrela = self._dynrelas[int(name.removeprefix(DYNRELA))]
        if not dynrela.owner:
            return self._exported(dynrela.name)
        if dynrela.owner not in (VMLINUX, self._shipped.objname):
            found = (
                f"belongs to {dynrela.owner} and is relocated with {dynrela.objname}, "
                f"but the code is for {self._shipped.objname}"
            )
            raise Refusal(KPATCH_OBJECT_SHARED, f"{self._name}: {dynrela.name}", found)
        owner = self._kernel.shipped(dynrela.owner)
        address = find_symbol(
            f"{self._name}: {dynrela.name}", owner, dynrela.name, dynrela.address, dynrela.sympos
        )
        return ExternalSymbol(owner.objname, dynrela.name, sympos(owner, dynrela.name, address))

    def _exported(self, name: str) -> Outside:
        """Resolve an export: of the core kernel (``seq_printf``) by linking, of a module that is
        always loaded (``jbd2_journal_start``, for code of ext4) as a livepatch symbol."""
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
    """Return the address of a symbol in the target, from the file's records of it.

    For example, a kpatch module for Debian's 6.1 records ``c_start`` with the address of the one in
    crypto/proc.c.  The name alone fits three functions, and in another build of the kernel the
    address is another one's, or none's.

    :param address: its recorded link address, or 0.
    :param position: among its namesakes, from 1; 0 for a unique name; None for no record.
    :param missing: the refusal where the target has no such symbol.
    :raises Refusal: `missing`, ``symbol-ambiguous``, ``kpatch-object-foreign``
    """
    places = shipped.addresses(name)
    if not places:
        raise Refusal(missing, where, f"{shipped.objname} has no symbol of that name")
    if address and shipped.objname == VMLINUX:
        if address not in places:
            here = ", ".join(f"{place:#x}" for place in places)
            found = f"was at {address:#x}; in this kernel it is at {here}"
            raise Refusal(KPATCH_OBJECT_FOREIGN, where, found)
        return address
    if position and position <= len(places):
        return places[position - 1]
    if position or len(places) > 1:
        problem = (
            f"there is no number {position}" if position else "the file does not say which of them"
        )
        raise Refusal(
            SYMBOL_AMBIGUOUS,
            where,
            f"{shipped.objname} has {len(places)} symbols of that name; {problem}",
        )
    return places[0]
