# SPDX-License-Identifier: GPL-2.0-or-later
"""Resolution of the symbols that an author's module uses and may not link against.

kbuild leaves such a symbol undefined.  Suture looks for its name in this order:

1. an export of the core kernel (``seq_printf``) is linked, as by any module;
2. another global symbol of the core kernel (``vm_commit_limit``) becomes a livepatch symbol;
3. an export of a module is linked and makes the module a dependency; if the live patch patches that
   module, the symbol becomes a livepatch symbol;
4. a static symbol of the core kernel (``meminfo_proc_show``), then any symbol of the patched
   modules, becomes a livepatch symbol if it alone has the name.

Authors can be explicit: ``KLP_RELOC_SYMBOL()`` names object and position.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from suture.elf.object import STB_WEAK, ObjectFile
from suture.errors import (
    FUNCTION_NOT_IN_KERNEL,
    INIT_REFERENCED,
    MODULE_REFERENCE_UNSAFE,
    OBJECT_NOT_PATCHED,
    SYMBOL_AMBIGUOUS,
    SYMBOL_NOT_FOUND,
    Refusal,
)
from suture.kernel.symvers import Symvers
from suture.model import VMLINUX, ExternalSymbol, SymbolReference
from suture.verify.shipped import Shipped
from suture.verify.sympos import candidates, find_sympos, nearest

_SUSE = re.compile(r"\.klp\.sym\.rela\.([^.]+)\.([^.]+)\.(.+),(\d+)")
_PENDING_BY_AUTHOR = re.compile(r"\.klp\.sym\.([^.]+)\.(.+),(\d+)")
_POSITIONED = re.compile(r"(\w+),(\d+)")

_WRITABLE_LATER = (".text", ".data", ".rodata", ".bss")
"""Beginnings of the names of sections into which the core can write when a module is loaded: the
kernel keeps them and has not used them before.  ``.init.*`` is freed by then; jump labels, static
calls and alternatives have been applied."""


class References:
    """Finds the symbols that one module uses.

    :param shipped: returns an object of the target by name.
    :param patched: names of the objects that the live patch patches.
    :param where: returns the place in the source that mentions a name, for messages.
    :param has_module: tells whether `shipped` has a module of that name.
    """

    def __init__(
        self,
        symvers: Symvers,
        shipped: Callable[[str], Shipped],
        patched: Sequence[str],
        where: Callable[[str], str],
        has_module: Callable[[str], bool],
    ) -> None:
        self._symvers = symvers
        self._shipped = shipped
        self._has_module = has_module
        self._patched = [name for name in patched if name != VMLINUX]
        self._where = where

    def where(self, name: str) -> str:
        """Return the place in the source that mentions a name."""
        return self._where(name)

    def find(self, name: str) -> SymbolReference | Refusal | None:
        """Resolve a name.

        :return: None where the module links it as any module does; or a refusal, which a weak
            symbol does not need: ``symbol-not-found``, ``symbol-ambiguous``, ``init-referenced``,
            ``object-not-patched``, ``function-not-in-kernel``
        :raises Refusal: what reading an object of the target raises
        """
        if match := _SUSE.fullmatch(name):
            return self._explicit(match[1], match[2], match[3], int(match[4]))
        if match := _PENDING_BY_AUTHOR.fullmatch(name):
            return self._explicit(match[1], match[1], match[2], int(match[3]))
        if match := _POSITIONED.fullmatch(name):
            return self._positioned(match[1], int(match[2]))
        export = self._symvers.get(name)
        vmlinux = self._shipped(VMLINUX)
        # seq_printf.  dma_buf_get is exported in the namespace DMA_BUF, which the author did not
        # import: linked, modpost or the loader would reject the module.
        if export is not None and export.module == VMLINUX and not export.namespace:
            return None
        # vm_commit_limit, and dma_buf_get.
        if vmlinux.global_addresses(name):
            return self._sole(vmlinux, name, vmlinux.global_addresses(name))
        # jbd2_journal_start, while jbd2 is not patched: the author's module depends on jbd2.
        if export is not None and export.module not in (VMLINUX, *self._patched):
            return None
        # The same while jbd2 is patched: linked, the live patch would load jbd2 and pin it.
        if export is not None and export.module in self._patched:
            exporter = self._shipped(export.module)
            return self._sole(exporter, name, exporter.global_addresses(name))
        # meminfo_proc_show, which fs/proc/meminfo.c defines as static.
        if vmlinux.addresses(name):
            return self._sole(vmlinux, name, vmlinux.addresses(name))
        return self._in_patched_modules(name)

    def _in_patched_modules(self, name: str) -> SymbolReference | Refusal:
        shipped = [self._shipped(module) for module in self._patched]
        holders = [module for module in shipped if module.addresses(name)]
        if len(holders) == 1:
            holder = holders[0]
            return self._sole(holder, name, holder.global_addresses(name) or holder.addresses(name))
        if holders:
            objects = " and in ".join(holder.objname for holder in holders)
            return Refusal(
                SYMBOL_AMBIGUOUS, self._where(name), f"{name} is in {objects}", remedy=SAY_WHICH
            )
        return self._not_found(name, (VMLINUX, *self._patched))

    def _explicit(
        self, patched: str, objname: str, name: str, position: int
    ) -> SymbolReference | Refusal:
        """Resolve an explicit reference; without a position the name must be unique."""
        if patched != VMLINUX and patched not in self._patched:
            found = f"{name} would be resolved with {patched}, but nothing of {patched} is replaced"
            return Refusal(OBJECT_NOT_PATCHED, self._where(name), found)
        if objname != VMLINUX and not self._has_module(objname):
            found = f"{name} is looked for in {objname}; the target has no module of that name"
            return Refusal(FUNCTION_NOT_IN_KERNEL, self._where(name), found)
        shipped = self._shipped(objname)
        places = shipped.addresses(name)
        if not places:
            return self._not_found(name, (objname,))
        if position == 0:
            sole = self._sole(shipped, name, places)
            return sole if isinstance(sole, Refusal) else replace(sole, objname=patched)
        if position > len(places):
            found = (
                f"{objname} has {len(places)} symbols named {name}; there is no position {position}"
            )
            return Refusal(SYMBOL_NOT_FOUND, self._where(name), found)
        if refusal := self._refusal_if_discarded(shipped, name, places[position - 1]):
            return refusal
        return SymbolReference(
            patched, ExternalSymbol(objname, name, position if len(places) > 1 else 0)
        )

    def _positioned(self, name: str, position: int) -> SymbolReference | Refusal:
        """Resolve ``NAME,POSITION``, in the first object that has the name."""
        objects = (VMLINUX, *self._patched)
        objname = next((one for one in objects if self._shipped(one).addresses(name)), VMLINUX)
        return self._explicit(objname, objname, name, position)

    def _sole(
        self, shipped: Shipped, name: str, places: Sequence[int]
    ) -> SymbolReference | Refusal:
        if len(set(places)) != 1:
            return Refusal(
                SYMBOL_AMBIGUOUS,
                self._where(name),
                f"{shipped.objname} has {len(places)} symbols named {name}",
                remedy=SAY_WHICH,
                evidence=candidates(shipped, name),
            )
        if refusal := self._refusal_if_discarded(shipped, name, places[0]):
            return refusal
        position = find_sympos(shipped, name, places[0])
        if isinstance(position, Refusal):
            return position
        return SymbolReference(shipped.objname, ExternalSymbol(shipped.objname, name, position))

    def _refusal_if_discarded(self, shipped: Shipped, name: str, address: int) -> Refusal | None:
        """Return the refusal of a symbol in memory that the kernel freed after boot, such as
        arch/x86/kernel/setup.c's ``static char __initdata command_line[]``."""
        if shipped.is_discarded(address):
            found = f"{name} is in the part of {shipped.objname} that is freed after init"
            return Refusal(INIT_REFERENCED, self._where(name), found)
        return None

    def _not_found(self, name: str, objnames: Iterable[str]) -> Refusal:
        near = [one for objname in objnames for one in nearest(name, self._shipped(objname))]
        return Refusal(
            SYMBOL_NOT_FOUND,
            self._where(name),
            f"{' and '.join(objnames)} {'have' if len(tuple(objnames)) > 1 else 'has'} no {name}",
            evidence=[f"there is {one}" for one in near],
        )


SAY_WHICH = (
    "Name one with KLP_RELOC_SYMBOL_POS(PATCHED, OBJECT, NAME, POSITION) on a declaration of it; "
    "positions count from 1 in the order shown."
)


def with_pending_names(
    module: ObjectFile, references: References, elsewhere: Collection[str] = ()
) -> ObjectFile:
    """Give undefined symbols that the core must resolve the names of pending symbols, for
    `suture.link.klp.finish`.

    :param elsewhere: names that other files of the same module define.
    :raises Refusal: those of `References.find`, ``module-reference-unsafe``
    """
    places: dict[int, SymbolReference] = {}
    for index in _used_undefined(module):
        symbol = module.symbols[index]
        if symbol.name in elsewhere:
            continue
        place = references.find(symbol.name)
        if isinstance(place, Refusal):
            if symbol.bind == STB_WEAK:
                continue  # the linker makes it 0
            raise place
        if place is not None:
            places[index] = place
    _refuse_unsafe(module, places, references)
    symbols = tuple(
        replace(symbol, name=places[index].pending_name) if index in places else symbol
        for index, symbol in enumerate(module.symbols)
    )
    return replace(module, symbols=symbols)


def _used_undefined(module: ObjectFile) -> Iterator[int]:
    """Yield the indices of the undefined symbols with a name that a relocation uses."""
    used: set[int] = set()
    for relocations in module.relocations.values():
        used.update(relocation.symbol for relocation in relocations)
    for index, symbol in enumerate(module.symbols):
        if index in used and symbol.is_undefined and symbol.name:
            yield index


def _refuse_unsafe(
    module: ObjectFile, places: Mapping[int, SymbolReference], references: References
) -> None:
    """Refuse a module's symbol in a section that the kernel reads when the live patch is loaded.

    The core relocates such a reference when the module is loaded, which may be much later.  For
    example, ``static_branch_unlikely(&kvm_has_noapic_vcpu)``, with a key of kvm, is an entry of
    ``__jump_table``: jump_label_add_module() would follow its still unrelocated pointer.
    """
    late = {index: place for index, place in places.items() if place.symbol.objname != VMLINUX}
    for section, relocations in module.relocations.items():
        name = module.sections[section].name
        for relocation in relocations:
            place = late.get(relocation.symbol)
            if place is not None and not name.startswith(_WRITABLE_LATER):
                found = f"{place.symbol.name} of {place.symbol.objname} is used in {name}"
                raise Refusal(MODULE_REFERENCE_UNSAFE, references.where(place.symbol.name), found)
