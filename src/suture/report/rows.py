# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of a report that any module has: what an examination found, and the files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from suture.errors import Refusal
from suture.host.files import paths_below, read_bytes
from suture.kernel.release import Target
from suture.model import VMLINUX, LivePatch
from suture.report.content import (
    EXPORT,
    LIVEPATCH,
    CallbackRow,
    CheckRow,
    FileHash,
    Problem,
    ReachedSymbol,
)
from suture.report.words import count
from suture.verify.examination import (
    Examination,
    ImportCheck,
    PrototypeResult,
    ShippedObjects,
    SymbolCheck,
)
from suture.verify.kernel import Kernel
from suture.verify.shipped import Shipped

NOT_PROVED = (
    "That each replaced function is the one that the author started from, and that no caller has a "
    "copy of it inlined: that takes the source without the patch."
)


def problem(refusal: Refusal) -> Problem:
    """Return a refusal as a report has it."""
    return Problem(
        refusal.code,
        refusal.where,
        refusal.found,
        refusal.why,
        refusal.remedy,
        refusal.evidence,
    )


def place(shipped: Shipped, value: int) -> str:
    """Return where something is: an address in the core kernel; in a module, which is loaded
    anywhere, a section and an offset.  "" where no section with contents holds it."""
    if shipped.objname == VMLINUX:
        return f"{value:#x}"
    for region in shipped.regions():
        if region.address <= value < region.address + len(region.data):
            return f"{region.name}+{value - region.address:#x}"
    return ""


def _place(objects: ShippedObjects, objname: str, value: int | None) -> str:
    return "" if value is None else place(objects.shipped(objname), value)


def checks(found: Examination, objects: ShippedObjects) -> tuple[CheckRow, ...]:
    """Return the replaced functions, as they were found in the target."""
    return tuple(
        CheckRow(
            one.objname,
            one.function.old_name,
            one.function.sympos,
            one.function.new_name,
            _place(objects, one.objname, one.address),
            one.size,
            one.new_size,
            one.prototype.value,
            _text(one.refusal),
        )
        for one in found.functions
    )


def symbols(
    found: Examination, kernel: Kernel, objects: ShippedObjects
) -> tuple[ReachedSymbol, ...]:
    """Return everything outside of the module that it uses."""
    resolved = [_resolved(one, objects) for one in found.symbols]
    linked = [_linked(one, kernel) for one in found.imports]
    return (*resolved, *linked)


def _resolved(one: SymbolCheck, objects: ShippedObjects) -> ReachedSymbol:
    symbol = one.symbol
    return ReachedSymbol(
        symbol.name,
        LIVEPATCH,
        symbol.objname,
        symbol.sympos,
        one.objname,
        one.places,
        _place(objects, symbol.objname, one.address),
        str(symbol),
        _text(one.refusal),
    )


def _linked(one: ImportCheck, kernel: Kernel) -> ReachedSymbol:
    export = one.export
    if export is None:
        return ReachedSymbol(one.name, EXPORT, "", 0, "", 0, "", "", _text(one.refusal))
    detail = export.kind
    if one.crc is not None and export.crc == one.crc:
        detail += f", version {one.crc:#010x}, equal"
    elif one.crc is None and export.crc:
        detail += ", without a version"
    places = kernel.vmlinux.addresses(one.name) if export.module == VMLINUX else ()
    address = f"{places[0]:#x}" if len(places) == 1 else ""
    problem_text = _text(one.refusal)
    return ReachedSymbol(one.name, EXPORT, export.module, 0, "", 0, address, detail, problem_text)


def callbacks(patch: LivePatch) -> tuple[CallbackRow, ...]:
    """Return the callbacks in the tables of a live patch."""
    found = []
    for patched in patch.objects:
        for one in patched.callbacks:
            found.append(CallbackRow(patched.name, one.kind.value, one.function, ""))
    return tuple(found)


def shown(found: Examination) -> list[str]:
    """Return what an examination shows, as sentences; nothing of what failed."""
    said = []
    functions = [one for one in found.functions if one.refusal is None]
    if functions:
        said.append(
            f"{count(len(functions), 'replaced function')} found in the target, each at its "
            "position among its namesakes, with a fentry call by which the kernel can redirect it."
        )
    same = [one for one in functions if one.prototype is PrototypeResult.SAME]
    if same:
        said.append(f"{count(len(same), 'new function')} with the prototype of the old one.")
    resolved = [one for one in found.symbols if one.refusal is None]
    if resolved:
        said.append(
            f"{count(len(resolved), 'symbol')} that the kernel's livepatch core resolves: there, "
            "and meant by name and position."
        )
    linked = [one for one in found.imports if one.refusal is None]
    if linked:
        number = count(len(linked), "symbol")
        said.append(f"{number} that the module links against: exported{_same(linked)}.")
    if not found.others:
        said.append("The module is for this release, and was built with its configuration.")
    return said


def _same(linked: Sequence[ImportCheck]) -> str:
    versions = sum(one.crc is not None for one in linked)
    if versions == len(linked):
        return ", in the version that it was built with"
    return f", {versions} of them in the version that it was built with" if versions else ""


def target_files(target: Target) -> tuple[FileHash, ...]:
    """Return the files of a target that decide about a live patch."""
    roles = {
        "kernel image": target.vmlinuz,
        "kernel configuration": target.config,
        "exported symbols": target.symvers,
    }
    return tuple(FileHash(role, path.name, _sha256(path)) for role, path in roles.items())


def file_hashes(role: str, paths: Sequence[Path]) -> Iterator[FileHash]:
    """Yield files, those of a directory each by itself; what cannot be read is left out."""
    for given in paths:
        for path in paths_below(given) if given.is_dir() else [given]:
            if path.is_file():
                yield FileHash(role, str(path), _sha256(path))


def now() -> str:
    """Return the time, ISO 8601, UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()


def _sha256(path: Path) -> str:
    return hashlib.sha256(read_bytes(path)).hexdigest()


def _text(refusal: Refusal | None) -> str:
    return "" if refusal is None else f"{refusal.code}: {refusal.found}"
