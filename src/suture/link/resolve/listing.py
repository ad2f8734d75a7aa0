# SPDX-License-Identifier: GPL-2.0-or-later
"""Resolution of what new code uses of the running kernel, by a list of symbols alone.

There is no shipped code to compare with, so nothing is proved: a symbol is taken for what the
object file says about its name.  A unique name is enough.  Static functions and variables of one
name in several source files (``c_start`` of fs/proc/consoles.c, crypto/proc.c and arch/x86) are
told apart where the list allows it: by ``STT_FILE`` symbols, or by the symbols around them in a
module's symbol table.  All others are refused.
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
    "Give symbols that tell source files apart: an ELF file of the object with STT_FILE symbols "
    "(not stripped by 'strip' or 'objcopy'). 'suture build' needs none: it compares with the "
    "shipped kernel."
)


class ListedResolver:
    """A `suture.diff.output.Resolver` for one original object.

    :param view: the original object.
    :param objname: the object of the kernel that it is part of.
    """

    def __init__(self, view: View, objname: str, listing: Listing, symvers: Symvers) -> None:
        self._view = view
        self._objname = objname
        self._listing = listing
        self._symvers = symvers
        self._files = SourceFiles(view.obj)

    def place(self, unit: Unit) -> ListedSymbol:
        """Return the listed symbol of a function or variable of the original object.

        :raises Refusal: ``symbol-not-found``, ``symbol-ambiguous``
        """
        names = (unit.name, *unit.aliases)
        found = [symbol for name in names for symbol in self._listing.named(self._objname, name)]
        # A name that is global here is no other file's static one, and the other way round:
        # user_destroy() of security/keys/user_defined.c is global, that of
        # security/selinux/ss/policydb.c is static.
        fitting = [symbol for symbol in found if symbol.is_global is not (unit.is_local)]
        where = self._where(unit.name)
        if not fitting:
            of_which = "static" if unit.is_local else "global"
            rest = f"; the {len(found)} of that name are not {of_which}" if found else ""
            raise Refusal(
                SYMBOL_NOT_FOUND,
                where,
                f"{self._listing.where} lists no {of_which} symbol of {self._objname} for it{rest}",
            )
        return self._static(unit, fitting) if unit.is_local else self._sole(unit.name, fitting)

    def replaced(self, unit: Unit) -> ListedSymbol:
        """Return the listed symbol of a function that the live patch replaces.

        For example, fs/proc/meminfo.c defines ``arch_report_meminfo()`` as weak, and x86 kernels
        have the one of arch/x86/mm/pat/set_memory.c.  A patch to the weak one would replace the
        other's code.

        :raises Refusal: as `place`, ``function-not-in-kernel``
        """
        symbol = self.place(unit)
        if self._is_weak(unit) and not symbol.is_weak:
            found = "is weak, and the kernel has another function of that name"
            raise Refusal(FUNCTION_NOT_IN_KERNEL, self._where(unit.name), found)
        return symbol

    def position(self, symbol: ListedSymbol) -> int:
        """Return `sympos` (struct klp_func): 0 for a unique name in the object, else its 1-based
        position.

        :raises Refusal: ``symbol-ambiguous`` where the position changes: a module's init symbols
            count while it is being loaded, and not later (kernel/module/kallsyms.c:
            layout_symtab())
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
                    f"{symbol.objname} has {len(namesakes)} symbols of that name, perhaps more "
                    "while it is being loaded",
                    remedy="Give the module's own file with --symbols; it also lists what is freed "
                    "after init.",
                )
            if any(namesake.is_discarded for namesake in namesakes):
                raise Refusal(
                    SYMBOL_AMBIGUOUS,
                    where,
                    f"another symbol of that name in {symbol.objname} is freed after init",
                )
        return list(namesakes).index(symbol) + 1

    def defined(self, unit: Unit) -> Outside:
        """Resolve a function or variable that stays in the kernel.

        :raises Refusal: as `place` and `position`, ``init-referenced``
        """
        if self._objname == VMLINUX and not unit.is_local:
            linkable = next(
                (name for name in (unit.name, *unit.aliases) if self._is_linkable(name)), None
            )
            if linkable is not None:
                return Linked(linkable)
        return self._external(self.place(unit))

    def undefined(self, name: str) -> Outside:
        """Resolve a symbol that another file defines.

        :raises Refusal: as `defined`, ``module-dependency-new``
        """
        # seq_printf
        if self._is_linkable(name):
            return Linked(name)
        # vm_commit_limit from fs/proc/meminfo.c, or a global function of the same module.
        own = self._visible(self._objname, name)
        if own:
            return self._external(self._sole(name, own))
        # jbd2_journal_start from ext4; vm_commit_limit from a module.
        export = self._symvers.get(name)
        holder = VMLINUX if export is None else export.module
        if holder not in (VMLINUX, self._objname):
            self._refuse_unloaded(name, holder)
        listed = self._visible(holder, name)
        if listed:
            return self._external(self._sole(name, listed))
        if export is not None and not self._listing.lists(holder):
            # No list of jbd2 was given.  Position 0 means a unique name; if it is not unique, the
            # core rejects the live patch (kernel/livepatch/core.c: klp_find_object_symbol()).
            return ExternalSymbol(holder, name, 0)
        raise Refusal(
            SYMBOL_NOT_FOUND,
            self._where(name),
            f"the target does not export it, and {self._listing.where} lists no global symbol of "
            "that name",
        )

    def _visible(self, objname: str, name: str) -> list[ListedSymbol]:
        return [
            symbol for symbol in self._listing.named(objname, name) if symbol.is_global is not False
        ]

    def _refuse_unloaded(self, name: str, exporter: str) -> None:
        """Refuse a symbol of a module that may not be loaded when the core needs it.

        The core lets no module load while a symbol that the live patch needs for it is missing.
        That ext4 depends on jbd2 shows in the exports of jbd2 that ext4 already uses.
        """
        undefined = {symbol.name for symbol in self._view.obj.symbols if symbol.is_undefined}
        exports = (self._symvers.get(symbol) for symbol in self._listing.needs | undefined)
        if self._objname == VMLINUX or all(
            export is None or export.module != exporter for export in exports
        ):
            found = f"is in module {exporter}, and {self._objname} is not known to depend on it"
            raise Refusal(MODULE_DEPENDENCY_NEW, self._where(name), found)

    def _is_linkable(self, name: str) -> bool:
        """Whether the core kernel exports a symbol, without a namespace (as ``dma_buf_get``'s
        DMA_BUF, which a module would have to import)."""
        export = self._symvers.get(name)
        return export is not None and export.module == VMLINUX and not export.namespace

    def _sole(self, name: str, symbols: Sequence[ListedSymbol]) -> ListedSymbol:
        if len({symbol.place for symbol in symbols}) != 1:
            raise self._ambiguous(name, len(symbols))
        return symbols[0]

    def _static(self, unit: Unit, symbols: Sequence[ListedSymbol]) -> ListedSymbol:
        """Return the listed symbol of a static function or variable.

        Its source file decides where the list names files, then its neighbours in a module's symbol
        table; otherwise the name must be unique.
        """
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
            # GCC numbers static locals through the whole file.  Debian's 6.1 has one buf.9 and one
            # buf.2, and two buf.0: after an edit, kernel/panic.c's "static char buf[1024]" may get
            # the number that another file's buffer has in the kernel.
            namesakes = self._by_base[base(unit.name)]
            if len(namesakes) != 1:
                raise self._ambiguous(unit.name, len(namesakes))
        return symbols[0]

    def _of_file(
        self, unit: Unit, symbols: Sequence[ListedSymbol], name: str, file: int
    ) -> ListedSymbol:
        """Return the symbol in the listed file of that name, or of several the one with all the
        static symbols of ours.

        For example, the core kernel has many files ``inode.c``, and fs/proc's is the one that also
        has a static ``proc_put_link``.
        """
        wanted = self._files.locals_of(file)
        candidates = self._listing.files_named(name)
        fitting = [each for each in candidates if wanted <= self._listing.names_in(each)]
        fitting = fitting or candidates
        inside = [symbol for symbol in symbols if symbol.file in fitting]
        if not inside:
            found = f"{self._listing.where} lists no static symbol of that name in {name}"
            raise Refusal(SYMBOL_NOT_FOUND, self._where(unit.name), found)
        if len(fitting) != 1 or len({symbol.place for symbol in inside}) != 1:
            raise self._ambiguous(unit.name, len(inside))
        return inside[0]

    @cached_property
    def _neighbours(self) -> dict[int | None, ListedSymbol]:
        """Position in our symbol table -> listed symbol, for a module's file: the linker kept the
        order of the objects' symbols."""
        if self._objname == VMLINUX or not self._listing.knows_init:
            return {}
        listed = [symbol for symbol in self._listing.symbols if not symbol.is_global]
        pairs = pair_neighbours([symbol.name for symbol in listed], self._files.order)
        return {ours: listed[theirs] for ours, theirs in pairs.items()}

    @cached_property
    def _by_base(self) -> dict[str, set[tuple[int, int]]]:
        """The places of the object's static symbols, by the name in the source."""
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
        found = (
            f"{self._objname} has {count} symbols of that name, and the list does not show which "
            "one is this file's"
        )
        return Refusal(SYMBOL_AMBIGUOUS, self._where(name), found, remedy=BETTER_LIST)

    def _where(self, name: str) -> str:
        return f"{self._view.obj.name}: {name}"
