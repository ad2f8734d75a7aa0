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
from suture.verify.sympos import find_sympos


@dataclass(frozen=True, slots=True)
class Published:
    """A unit that was ``static`` until the patch made it global.

    :ivar addresses: of the file that defines it, which alone can find it.
    """

    addresses: Addresses
    unit: Unit


class KernelResolver:
    """A `suture.diff.output.Resolver` and `suture.diff.contents.Lookup` for one source file.

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

        :raises Refusal: as `find_defined` returns
        """
        found = self.find_defined(unit)
        if isinstance(found, Refusal):
            raise found
        return found

    def undefined(self, name: str) -> Outside:
        """Resolve a symbol that another file defines.

        :raises Refusal: as `find_undefined` returns
        """
        found = self.find_undefined(name)
        if isinstance(found, Refusal):
            raise found
        return found

    def find_defined(self, unit: Unit) -> Outside | Refusal:
        """Resolve a function or variable that stays in the kernel.

        For example, new code of ``meminfo_proc_show()`` calls ``arch_report_meminfo()``, which its
        own object defines as weak.  The kernel has the definition of
        arch/x86/mm/pat/set_memory.c, so the address decides, not the object.

        :return: or a refusal: ``symbol-not-found``, ``symbol-ambiguous``, ``init-referenced``,
            ``function-not-in-kernel``, ``pre-image-mismatch``
        """
        shipped = self._addresses.shipped
        for name in (unit.name, *unit.aliases):
            if shipped.objname == VMLINUX and not unit.is_local and self._is_linkable(name):
                return Linked(name)
        return self._proved(self._addresses, unit)

    def find_undefined(self, name: str) -> Outside | Refusal:
        """Resolve a symbol that another file defines.

        :return: or a refusal: ``module-dependency-new``, and those of `find_defined`
        :raises Refusal: what reading the exporting module raises
        """
        if name in self._published:
            return self._once_static(name, self._published[name])
        if name in self._provided:
            # Its code is in the live patch and can be linked, but it works with the module's own
            # functions and data, which may not be there.
            return self._refusal_elsewhere(name, self._provided[name]) or Linked(name, is_new=True)
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
            refusal = self._refusal_if_unloaded(name, export.module)
            return refusal or self._sole(self._module(export.module), name, None)
        # vm_commit_limit.  From code of the core kernel, shipped code shows the address; a module
        # finds it by name alone.
        address = self._addresses.of_undefined(name) if own.objname == VMLINUX else None
        return self._sole(self._vmlinux, name, address)

    def _once_static(self, name: str, published: Published) -> ExternalSymbol | Refusal:
        refusal = self._refusal_elsewhere(name, published.addresses.shipped.objname)
        return refusal or self._proved(published.addresses, published.unit)

    def _proved(self, addresses: Addresses, unit: Unit) -> ExternalSymbol | Refusal:
        address = addresses.find(unit)
        if isinstance(address, Refusal):
            return address
        return self._external(addresses.shipped, addresses.name_at(unit, address), address)

    def _refusal_elsewhere(self, name: str, objname: str) -> Refusal | None:
        """Return the refusal of a symbol in a module that this code's object does not depend on."""
        if objname in (VMLINUX, self._addresses.shipped.objname):
            return None
        return self._refusal_if_unloaded(name, objname)

    def _refusal_if_unloaded(self, name: str, exporter: str) -> Refusal | None:
        """Return the refusal of a symbol whose module may not be loaded when the core needs it.

        The core lets no module load while a symbol that the live patch needs for it is missing.
        ext4 is always loaded after jbd2; a patch to ext4 that calls a function of kvm would keep
        ext4 from loading wherever kvm is not.
        """
        own = self._addresses.shipped.objname
        if own == VMLINUX or exporter not in self._needed(own):
            where = f"{self._addresses.view.obj.name}: {name}"
            found = f"is in module {exporter}, which {own} does not depend on"
            return Refusal(MODULE_DEPENDENCY_NEW, where, found)
        return None

    def _is_linkable(self, name: str) -> bool:
        """Whether the core kernel exports a symbol, without a namespace.

        ``dma_buf_get`` is in the namespace DMA_BUF, which a live patch would have to import; as a
        livepatch symbol it needs no import.
        """
        export = self._symvers.get(name)
        return export is not None and export.module == VMLINUX and not export.namespace

    def _sole(self, shipped: Shipped, name: str, address: int | None) -> ExternalSymbol | Refusal:
        """Resolve a global symbol of an object.

        :param address: its address in proven code, if that refers to it; otherwise the name must
            be unique.
        """
        places: Sequence[int] = shipped.addresses(name)
        where = f"{self._addresses.view.obj.name}: {name}"
        if address is None:
            visible = shipped.global_addresses(name)
            if not visible:
                found = f"{shipped.objname} has no global symbol of that name"
                return Refusal(SYMBOL_NOT_FOUND, where, found)
            if len(visible) != 1:
                found = f"{shipped.objname} has {len(visible)} symbols of that name"
                return Refusal(SYMBOL_AMBIGUOUS, where, found)
            address = visible[0]
        if address not in places:
            found = f"{shipped.objname} has it only under another name"
            return Refusal(SYMBOL_NOT_FOUND, where, found)
        return self._external(shipped, name, address)

    def _external(self, shipped: Shipped, name: str, address: int) -> ExternalSymbol | Refusal:
        """Return the livepatch symbol for an address, or the refusal of one in freed memory.

        For example, new code of arch/x86/kernel/setup.c must not use ``static char __initdata
        command_line[]``: the kernel frees it after boot.
        """
        if shipped.is_discarded(address):
            where = f"{self._addresses.view.obj.name}: {name}"
            found = f"is in the part of {shipped.objname} that is freed after init"
            return Refusal(INIT_REFERENCED, where, found)
        position = find_sympos(shipped, name, address)
        if isinstance(position, Refusal):
            return position
        return ExternalSymbol(shipped.objname, name, position)
