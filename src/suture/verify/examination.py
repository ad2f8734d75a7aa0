# SPDX-License-Identifier: GPL-2.0-or-later
"""Everything that a live patch module and a target show of each other, whichever tool built the
module.

- Every replaced function is in its object, at its position; it can be redirected; where both sides
  have types, the new function has its prototype.
- Every symbol that the core resolves exists, and its name and position mean one.
- Every symbol that the module links against is exported, with the version that it was built with.
- The module is for this release, with this kernel's configuration of modules.

Each thing is looked at whatever became of the others.  Only the proof of a build shows that the
functions are the ones that the author changed (`suture.verify.preimage`): it has the unpatched
source.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from suture.elf.object import STT_FUNC, ObjectFile
from suture.errors import (
    SYMBOL_AMBIGUOUS,
    SYMBOL_NOT_FOUND,
    SYMBOL_VERSION_DIFFERS,
    VERMAGIC_DIFFERS,
    Refusal,
)
from suture.kernel import elf64, modules
from suture.kernel.btf import Btf
from suture.kernel.release import Target
from suture.kernel.symvers import Export
from suture.model import ExternalSymbol, PatchedFunction
from suture.module import versions
from suture.module.inspect import Inspection, inspect, refuse_other_release, refuse_unapplied
from suture.verify.kernel import Kernel
from suture.verify.replaced import Replaceable
from suture.verify.shipped import Shipped

LAYOUT = "module_layout"
"""A function that nobody calls: its version is that of the structures that all modules share
(kernel/module/version.c)."""

THIS_MODULE = ".gnu.linkonce.this_module"
"""Holds the module's ``struct module``; the loader compares its size with the kernel's own."""


class PrototypeResult(StrEnum):
    """The outcome of comparing the prototypes of an old and a new function."""

    SAME = "same"
    DIFFERS = "differs"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class FunctionCheck:
    """One replaced function.

    :ivar address: in the core kernel, or in the laid-out module file; None if it was not found.
    :ivar size: bytes of the old code up to the next symbol, padding included; 0 if not known.
    :ivar new_size: bytes of the new code; 0 if not known.
    """

    objname: str
    function: PatchedFunction
    address: int | None
    size: int
    new_size: int
    prototype: PrototypeResult
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class SymbolCheck:
    """One symbol that the core resolves.

    :ivar objname: the object with which the core resolves it.
    :ivar places: how many fields of the module hold it.
    """

    objname: str
    symbol: ExternalSymbol
    places: int
    address: int | None
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class ImportCheck:
    """One symbol that the module links against.

    :ivar export: the kernel's export of that name.
    :ivar crc: the version that the module was built with; None where it has none.
    """

    name: str
    export: Export | None
    crc: int | None
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found.

    :ivar others: reasons that concern the module as a whole.
    """

    inspection: Inspection
    functions: tuple[FunctionCheck, ...]
    symbols: tuple[SymbolCheck, ...]
    imports: tuple[ImportCheck, ...]
    others: tuple[Refusal, ...] = ()

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Everything that keeps the module from fitting."""
        found = [one.refusal for one in self.functions]
        found += [one.refusal for one in self.symbols]
        found += [one.refusal for one in self.imports]
        return (*self.others, *(refusal for refusal in found if refusal is not None))


class ShippedObjects(Protocol):
    """The objects that a live patch may be for: those of the target, and modules built with it."""

    def shipped(self, objname: str) -> Shipped:
        """Return an object by name.

        :raises Refusal: ``function-not-in-kernel``
        """

    def types_of(self, objname: str) -> Btf | None:
        """Return the types of an object; None if it has no BTF."""


def examine(
    module: ObjectFile,
    where: str,
    kernel: Kernel,
    objects: ShippedObjects | None = None,
    types: Btf | None = None,
) -> Examination:
    """Examine a live patch module beside a target.

    :param where: the module's name in messages.
    :param objects: looks up objects where not all of them belong to the target.
    :param types: those of the new functions, for a module without BTF.
    :raises Refusal: ``not-a-live-patch``, and what reading the target raises; what keeps the module
        from fitting is in the result
    """
    inspection = inspect(module)
    found = _Examiner(module, inspection, where, kernel, objects or kernel, types)
    return Examination(
        inspection,
        tuple(found.functions()),
        tuple(found.symbols()),
        tuple(found.imports()),
        tuple(found.others()),
    )


class _Examiner:
    def __init__(
        self,
        module: ObjectFile,
        inspection: Inspection,
        where: str,
        kernel: Kernel,
        objects: ShippedObjects,
        types: Btf | None,
    ) -> None:
        self._module = module
        self._inspection = inspection
        self._where = where
        self._kernel = kernel
        self._objects = objects
        self._known_types = types
        self._is_for_target = inspection.release == kernel.target.release

    def functions(self) -> Iterator[FunctionCheck]:
        """Look for each replaced function."""
        replaceable = Replaceable(self._objects.shipped, self._objects.types_of)
        types = self._types()
        sizes = {s.name: s.size for _, s in self._module.symbols_of_type(STT_FUNC)}
        for objname, function in self._inspection.patch.each_function():
            yield self._function(replaceable, types, objname, function, sizes)

    def _function(
        self,
        replaceable: Replaceable,
        types: Btf | None,
        objname: str,
        function: PatchedFunction,
        sizes: Mapping[str, int],
    ) -> FunctionCheck:
        old, new = function.old_name, function.new_name
        new_size = sizes.get(new, 0)
        try:
            address, _ = replaceable.locate(objname, old, function.sympos, self._place)
        except Refusal as refusal:
            unknown = PrototypeResult.UNKNOWN
            return FunctionCheck(objname, function, None, 0, new_size, unknown, refusal)
        size = self._objects.shipped(objname).size(address)
        try:
            is_known = replaceable.check_prototype(objname, old, new, types, self._place)
        except Refusal as refusal:
            differs = PrototypeResult.DIFFERS
            return FunctionCheck(objname, function, address, size, new_size, differs, refusal)
        result = PrototypeResult.SAME if is_known else PrototypeResult.UNKNOWN
        return FunctionCheck(objname, function, address, size, new_size, result)

    def symbols(self) -> Iterator[SymbolCheck]:
        """Look for each symbol that the core resolves."""
        places = Counter((one.objname, one.symbol) for one in self._inspection.references)
        for (objname, symbol), count in places.items():
            found = self._resolve(symbol)
            if isinstance(found, Refusal):
                yield SymbolCheck(objname, symbol, count, None, found)
            else:
                yield SymbolCheck(objname, symbol, count, found)

    def _resolve(self, symbol: ExternalSymbol) -> int | Refusal:
        """Return the address that the core would find (``klp_find_object_symbol()``)."""
        try:
            shipped = self._objects.shipped(symbol.objname)
        except Refusal as refusal:
            return refusal
        addresses = shipped.addresses(symbol.name)
        count, place = len(addresses), self._place(symbol.name)
        if not count or symbol.sympos > count:
            found = f"{shipped.objname} has {count} symbols of that name, not {symbol.sympos or 1}"
            return Refusal(SYMBOL_NOT_FOUND, place, found)
        if not symbol.sympos and count > 1:
            found = f"{count} symbols of that name are in {shipped.objname}"
            return Refusal(SYMBOL_AMBIGUOUS, place, found)
        return addresses[max(symbol.sympos, 1) - 1]

    def imports(self) -> Iterator[ImportCheck]:
        """Look for each symbol that the module links against."""
        crcs = versions.read(self._module)
        known = crcs or {}
        names = [*self._inspection.imports, *([LAYOUT] if LAYOUT in known else [])]
        for name in dict.fromkeys(names):
            export, crc = self._kernel.symvers.get(name), known.get(name)
            yield ImportCheck(name, export, crc, self._import_refusal(name, export, crc))

    def _import_refusal(self, name: str, export: Export | None, crc: int | None) -> Refusal | None:
        place = self._place(name)
        if export is None:
            if self._is_of_companion(name):
                return None
            return Refusal(SYMBOL_NOT_FOUND, place, "is not exported by this kernel")
        # A symbol without a version is loaded with a warning (kernel/module/version.c).
        if crc is not None and export.crc and crc != export.crc:
            found = f"has version {crc:#010x} in the module and {export.crc:#010x} in this kernel"
            return Refusal(SYMBOL_VERSION_DIFFERS, place, found)
        spaces = [value for key, value in self._inspection.modinfo if key == "import_ns"]
        if export.namespace and export.namespace not in spaces:
            found = f"is exported in the namespace {export.namespace}, which is not imported"
            return Refusal(SYMBOL_NOT_FOUND, place, found)
        return None

    def _is_of_companion(self, name: str) -> bool:
        """Whether a module that was built with this one has a symbol."""
        if self._objects is self._kernel:
            return False
        needed = dict(self._inspection.modinfo).get("depends", "")
        for objname in filter(None, needed.split(",")):
            if self._objects.shipped(objname).global_addresses(name):
                return True
        return False

    def others(self) -> Iterator[Refusal]:
        """Compare the module as a whole."""
        target = self._kernel.target
        try:
            refuse_other_release(self._inspection, target.release, self._where)
        except Refusal as refusal:
            yield refusal
            return
        try:
            refuse_unapplied(self._inspection, self._where)
        except Refusal as refusal:
            yield refusal
        yield from self._layout_refusals(_common_form(target))

    def _layout_refusals(self, reference: _CommonForm | None) -> Iterator[Refusal]:
        if reference is None:
            return
        vermagic = dict(self._inspection.modinfo).get("vermagic", "")
        ours, theirs = vermagic.split()[1:], reference.vermagic.split()[1:]
        if ours != theirs:
            found = f"its vermagic says {' '.join(ours)!r}, this kernel's {' '.join(theirs)!r}"
            yield Refusal(VERMAGIC_DIFFERS, self._where, found)
        index = self._module.section_named(THIS_MODULE)
        size = self._module.sections[index].size if index else 0
        if size != reference.size:
            found = f"its struct module has {size} bytes, this kernel's {reference.size}"
            yield Refusal(VERMAGIC_DIFFERS, self._where, found)

    def _types(self) -> Btf | None:
        """Return the types of the new functions, where the module has BTF.

        It continues the BTF of the kernel that the module was built for, and says nothing beside
        another one.
        """
        index, base = self._module.section_named(".BTF"), self._kernel.types
        if not index or base is None or not self._is_for_target:
            return self._known_types
        return Btf(self._module.sections[index].data, self._where, base)

    def _place(self, name: str) -> str:
        return f"{self._where}: {name}"


@dataclass(frozen=True, slots=True)
class _CommonForm:
    """What all modules of a target have in common.

    :ivar size: bytes of ``struct module``.
    """

    vermagic: str
    size: int


def _common_form(target: Target) -> _CommonForm | None:
    """Read the first module of the target; None where it has none."""
    for name, path in modules.index(target).items():
        data = modules.read(path)
        vermagic = dict(modules.modinfo(data, name)).get("vermagic", "")
        sections = elf64.layout(data).sections
        size = next((one.size for one in sections if one.name == THIS_MODULE), 0)
        if vermagic and size:
            return _CommonForm(vermagic, size)
    return None
