# SPDX-License-Identifier: GPL-2.0-or-later
"""Resolution of what new code uses of the running kernel, with proven addresses.

Exports of the core kernel (``seq_printf``) are linked as by any module, and the loader checks their
CRCs.  Everything else (``vm_commit_limit``) becomes a livepatch symbol, which the core looks up by
object, name and position among namesakes.  So do exports of modules: linked, ``jbd2_journal_start``
would load jbd2 and pin it.
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
    """A unit that was ``static`` until the patch made it global.

    :ivar addresses: of the file that defines it, which alone can find it.
    """

    addresses: Addresses
    unit: Unit


class KernelResolver:
    """A `suture.diff.output.Resolver` for one source file.

    :param addresses: of the file's original object in the object that it belongs to.
    :param vmlinux: the core kernel.
    :param module: returns a module of the target by name.
    :param provided: name of a new global symbol in any file of the live patch -> the object that
        the file belongs to.
    :param published: name -> the static unit that any file of the live patch made global.
    :param needed: returns the modules that are always loaded before a module.
    """

    def __init__(
        self,
        addresses: Addresses,
        symvers: Symvers,
        vmlinux: Shipped,
        module: Callable[[str], Shipped],
        provided: Mapping[str, str] | None = None,
        published: Mapping[str, Published] | None = None,
        needed: Callable[[str], Collection[str]] = lambda _: (),
    ) -> None:
        self._addresses = addresses
        self._symvers = symvers
        self._vmlinux = vmlinux
        self._module = module
        self._provided = provided or {}
        self._published = published or {}
        self._needed = needed

    def defined(self, unit: Unit) -> Outside:
        """Resolve a function or variable that stays in the kernel.

        For example, new code of ``meminfo_proc_show()`` calls ``arch_report_meminfo()``, which its
        own object defines as weak.  The kernel has the definition of
        arch/x86/mm/pat/set_memory.c, so the address decides, not the object.

        :raises Refusal: ``symbol-not-found``, ``symbol-ambiguous``, ``pre-image-mismatch``
        """
        shipped = self._addresses.shipped
        for name in (unit.name, *unit.aliases):
            if shipped.objname == VMLINUX and not unit.is_local and self._is_linkable(name):
                return Linked(name)
        address = self._addresses.of(unit)
        return self._external(shipped, self._addresses.name_at(unit, address), address)

    def undefined(self, name: str) -> Outside:
        """Resolve a symbol that another file defines.

        :raises Refusal: ``symbol-not-found``, ``symbol-ambiguous``, ``module-dependency-new``
        """
        if name in self._published:
            return self._once_static(name, self._published[name])
        if name in self._provided:
            self._refuse_elsewhere(name, self._provided[name])
            return Linked(name, is_new=True)
        # seq_printf
        if self._is_linkable(name):
            return Linked(name)
        own = self._addresses.shipped
        export = self._symvers.get(name)
        # ext4_ext_truncate of fs/ext4/extents.c, from fs/ext4/inode.c.
        if own.objname != VMLINUX and own.global_addresses(name):
            return self._sole(own, name, self._addresses.of_undefined(name))
        # jbd2_journal_start, from code of ext4.
        if export is not None and export.module != VMLINUX:
            self._refuse_unloaded(name, export.module)
            return self._sole(self._module(export.module), name, None)
        # vm_commit_limit.  From code of the core kernel, shipped code shows the address; a module
        # finds it by name alone.
        address = self._addresses.of_undefined(name) if own.objname == VMLINUX else None
        return self._sole(self._vmlinux, name, address)

    def _once_static(self, name: str, published: Published) -> ExternalSymbol:
        shipped = published.addresses.shipped
        if shipped.objname not in (VMLINUX, self._addresses.shipped.objname):
            self._refuse_unloaded(name, shipped.objname)
        address = published.addresses.of(published.unit)
        return self._external(
            shipped, published.addresses.name_at(published.unit, address), address
        )

    def _refuse_elsewhere(self, name: str, provider: str) -> None:
        """Refuse a new symbol of a module that this code's object does not depend on.

        Its code is in the live patch and can be linked, but it works with the module's own
        functions and data, which may not be there.
        """
        if provider not in (VMLINUX, self._addresses.shipped.objname):
            self._refuse_unloaded(name, provider)

    def _refuse_unloaded(self, name: str, exporter: str) -> None:
        """Refuse a symbol of a module that may not be loaded when the core needs it.

        The core lets no module load while a symbol that the live patch needs for it is missing.
        ext4 is always loaded after jbd2; a patch to ext4 that calls a function of kvm would keep
        ext4 from loading wherever kvm is not.
        """
        own = self._addresses.shipped.objname
        if own == VMLINUX or exporter not in self._needed(own):
            where = f"{self._addresses.view.obj.name}: {name}"
            raise Refusal(
                MODULE_DEPENDENCY_NEW,
                where,
                f"is in module {exporter}, which {own} does not depend on",
            )

    def _is_linkable(self, name: str) -> bool:
        """Whether the core kernel exports a symbol, without a namespace.

        ``dma_buf_get`` is in the namespace DMA_BUF, which a live patch would have to import; as a
        livepatch symbol it needs no import.
        """
        export = self._symvers.get(name)
        return export is not None and export.module == VMLINUX and not export.namespace

    def _sole(self, shipped: Shipped, name: str, address: int | None) -> ExternalSymbol:
        """Resolve a global symbol of an object.

        :param address: its address in proven code, if that refers to it; otherwise the name must
            be unique.
        """
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
                    f"{shipped.objname} has {len(visible)} symbols of that name",
                )
            address = visible[0]
        if address not in places:
            raise Refusal(
                SYMBOL_NOT_FOUND, where, f"{shipped.objname} has it only under another name"
            )
        return self._external(shipped, name, address)

    def _external(self, shipped: Shipped, name: str, address: int) -> ExternalSymbol:
        """Return the livepatch symbol for an address; refuse one in freed memory.

        For example, new code of arch/x86/kernel/setup.c must not use ``static char __initdata
        command_line[]``: the kernel frees it after boot.
        """
        if shipped.is_discarded(address):
            where = f"{self._addresses.view.obj.name}: {name}"
            raise Refusal(
                INIT_REFERENCED,
                where,
                f"is in the part of {shipped.objname} that is freed after init",
            )
        return ExternalSymbol(shipped.objname, name, sympos(shipped, name, address))
