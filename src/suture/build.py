# SPDX-License-Identifier: GPL-2.0-or-later
"""Patch source -> live patch module.

1. The patch is read, and the files that it touches are compiled before and after it (`suture.workspace`).
2. Each pair of objects is compared, and what changed is cut out (`suture.diff`).
3. Every function that is to be replaced is proved to be the one in the shipped kernel (`suture.verify`).
4. What was cut out is linked into a module for that kernel (`suture.link`), which is written when all is done.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from suture.diff.compare import Changes, compare
from suture.diff.contents import contents
from suture.diff.correlate import Correlation
from suture.diff.data import names
from suture.diff.leave import LeftOut, Part, told
from suture.diff.same import Side
from suture.diff.select import OutputObject, select
from suture.diff.special import Entries
from suture.diff.static_branches import with_keys_read
from suture.diff.view import View
from suture.elf import reader, writer
from suture.elf.object import ObjectFile
from suture.errors import (
    DATA_NEEDS_REPLACE,
    DATA_NOT_CHANGED,
    INIT_FUNCTION_CHANGED,
    MODULE_STATIC_KEY,
    NO_CODE_CHANGE,
    NO_LIVEPATCH,
    Refusal,
)
from suture.formats import diff
from suture.host.files import check_output, write_atomic
from suture.host.progress import note, step
from suture.kernel import config
from suture.kernel.imports import importers
from suture.kernel.release import Target
from suture.link import glue, kbuild, klp
from suture.link.glue import Variable
from suture.link.inspect import inspect
from suture.link.resolve import KernelResolver, Published, sympos
from suture.model import LivePatch, PatchedFunction, PatchedObject
from suture.verify.addresses import Addresses
from suture.verify.callers import DEFAULT_BOUNDS, Because, Bounds, File, Surroundings, widen
from suture.verify.kernel import Kernel
from suture.workspace.compile import ObjectPair, object_pairs
from suture.workspace.mentions import mentioning
from suture.workspace.prepare import Workspace, prepare
from suture.workspace.static_branches import patched_object_reading_keys


@dataclass(frozen=True, slots=True)
class Built:
    """A finished live patch module.

    :ivar new: functions that the patch adds: (source file, name).
    :ivar because: functions that are replaced because they call one that cannot be.
    :ivar left_out: what of the patch it does without.
    :ivar data: variables that change in memory while it is in force.
    """

    path: Path
    target: Target
    patch: LivePatch
    new: tuple[tuple[str, str], ...]
    left_out: tuple[LeftOut, ...] = ()
    because: tuple[Because, ...] = ()
    data: tuple[Variable, ...] = ()


def build(
    patches: Sequence[Path],
    target: Target,
    *,
    output: Path | None = None,
    name: str | None = None,
    replace: bool = True,
    strip: int | None = None,
    bounds: Bounds = DEFAULT_BOUNDS,
    patch_data: frozenset[str] = frozenset(),
) -> Built:
    """Build one live patch module from one or more patch files.

    :param output: where to write it; ``<name>.ko`` in the working directory by default.
    :param name: the module's name; ``livepatch_`` and the first patch file's name by default.
    :param replace: the live patch replaces all that are loaded before it (``klp_patch.replace``).
    :param strip: leading path components to drop from file names in the patch, as ``patch -p``.
    :param bounds: how far the callers of functions without a fentry call are replaced in their place.
    :param patch_data: names of variables that are to change in memory while the live patch is in force.
    :raises Refusal: many; each says what and why
    """
    if patch_data and not replace:
        raise Refusal(DATA_NEEDS_REPLACE, "--patch-data", "the live patch is to stack on others (--no-replace)")
    module_name = kbuild.check_name(_default_name(patches[0]) if name is None else name)
    path = output or Path(f"{module_name}.ko")
    check_output(path)
    source = diff.read(patches, strip)
    if not config.read(target.config).enabled("LIVEPATCH"):
        raise Refusal(NO_LIVEPATCH, target.release, "CONFIG_LIVEPATCH is not set")
    workspace = prepare(target)
    kernel = Kernel(target)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(kernel.read)  # while the compilers run; what is wrong with it shows when it is used
        pairs = object_pairs(workspace, source)
    with step("Comparing", f"{len(pairs)} object{'s' if len(pairs) != 1 else ''}"):
        cuts, left_out, because = _cut_all(pairs, kernel, workspace, bounds, patch_data)
    with step("Linking", f"{module_name}.ko"):
        patch, objects = _assemble(module_name, replace, cuts)
        variables = tuple(variable for cut in cuts for variable in cut.data)
        patch = glue.with_data(patch, variables)
        module = kbuild.link(workspace, module_name, glue.source(patch, target.release, variables), objects)
        klp.refuse_unresolved(module, frozenset(kernel.symvers.exports))
        finished = klp.finish(module)
        write_atomic(path, writer.write(finished))
    new = tuple((cut.source, function) for cut in cuts for function in cut.output.new)
    return Built(path, target, inspect(finished).patch, new, left_out, because, variables)


@dataclass(frozen=True, slots=True)
class _Cut:
    """An output object, and what it replaces as the core is to be told: old name and sympos, in its order.

    :ivar contents: the object with the contents of `data`, where there is any.
    """

    source: str
    output: OutputObject
    functions: tuple[tuple[str, int], ...]
    data: tuple[Variable, ...] = ()
    contents: ObjectFile | None = None


def _cut_all(
    pairs: Sequence[ObjectPair], kernel: Kernel, workspace: Workspace, bounds: Bounds, patch_data: frozenset[str]
) -> tuple[list[_Cut], tuple[LeftOut, ...], tuple[Because, ...]]:
    changes = {pair: found for pair in pairs if (found := _compare(pair, kernel, patch_data)) is not None}
    _refuse_unused(pairs, changes.values(), patch_data)
    files = [
        File(pair.source, pair.objname, found, Addresses(found.original.view, kernel.shipped(pair.objname)))
        for pair, found in changes.items()
    ]
    of_source = {pair.source: pair for pair in changes}
    provided = _provided(files)
    wide, because = widen(files, _surroundings(kernel, workspace), bounds)
    published = _published((file.changes, file.addresses) for file in wide)
    cuts: list[_Cut] = []
    for file in wide:
        if file.changes.need_code or file.changes.data:
            own = provided | _carried(wide, file)
            resolver = KernelResolver(
                file.addresses, kernel.symvers, kernel.vmlinux, kernel.module, own, published, kernel.needed
            )
            with_keys = file.source in of_source and not file.changes.carried
            reading_keys = partial(_side_reading_keys, of_source[file.source], kernel, workspace) if with_keys else None
            count = sum(len(other.data) for other in cuts)
            cuts.append(_with_data(_cut(file, resolver, reading_keys), file, resolver, count))
    if not any(cut.functions or cut.data for cut in cuts):
        raise _nothing_left({pair.source: found.left_out for pair, found in changes.items() if found.left_out}, pairs)
    left_out = tuple(
        told(part, pair.source, pair.objname) for pair, found in changes.items() for part in found.left_out
    )
    for one in left_out:
        note(str(one))
    return cuts, left_out, because


def _surroundings(kernel: Kernel, workspace: Workspace) -> Surroundings:
    def candidates(objname: str, words: Collection[str], without: Collection[str]) -> list[File]:
        pairs = mentioning(workspace, words, without)
        return [_unchanged(pair, kernel) for pair in pairs if pair.objname == objname]

    def importing(name: str) -> Collection[str] | None:
        return importers(kernel.target, name) if name in kernel.symvers else None

    return Surroundings(kernel.shipped, importing, candidates)


def _unchanged(pair: ObjectPair, kernel: Kernel) -> File:
    """A file that the patch leaves alone: both sides are the same."""
    same = _side(pair.original, pair, kernel)
    correlation = Correlation({unit: unit for unit in same.view.units})
    addresses = Addresses(same.view, kernel.shipped(pair.objname))
    return File(pair.source, pair.objname, Changes(same, same, correlation, (), (), ()), addresses)


def _provided(files: Iterable[File]) -> frozenset[str]:
    """New global names."""
    units = (unit for file in files for unit in file.changes.provided)
    return frozenset(name for unit in units for name in (unit.name, *unit.aliases))


def _carried(files: Iterable[File], user: File) -> frozenset[str]:
    """Global names that the live patch has new code for, as far as a file can mean them: an object may have its own."""
    shipped = user.addresses.shipped
    return frozenset(
        name
        for file in files
        for _, after in file.changes.carried
        for name in (() if after.is_local else (after.name, *after.aliases))
        if file.objname == user.objname or not shipped.global_addresses(name)
    )


def _nothing_left(left_out: Mapping[str, Sequence[Part]], pairs: Sequence[ObjectPair]) -> Refusal:
    """No function is to be replaced; what would have been left out is the reason, if anything was."""
    if not left_out:
        return Refusal(NO_CODE_CHANGE, ", ".join(pair.source for pair in pairs), "no function differs")
    (source, first), *rest = [(source, part) for source, parts in left_out.items() for part in parts]
    evidence = [f"{other}: {part.found}" for other, part in rest]
    return Refusal(first.reason.kind, source, first.found, evidence=evidence)


def _refuse_unused(pairs: Sequence[ObjectPair], changes: Iterable[Changes], patch_data: frozenset[str]) -> None:
    """:raises Refusal: ``data-not-changed``"""
    used = {name for found in changes for _, after in found.data for name in names(after)}
    for name in sorted(patch_data - used):
        files = ", ".join(pair.source for pair in pairs)
        raise Refusal(DATA_NOT_CHANGED, f"--patch-data {name}", f"the patch changes no such variable in {files}")


def _compare(pair: ObjectPair, kernel: Kernel, patch_data: frozenset[str]) -> Changes | None:
    """What the patch changed in one source file; None, with a note, where that is nothing."""
    try:
        return compare(_side(pair.original, pair, kernel), _side(pair.patched, pair, kernel), patch_data)
    except Refusal as refusal:
        if refusal.kind is not NO_CODE_CHANGE:
            raise
        note(f"{pair.source}: the patch does not change its code")
        return None


def _published(files: Iterable[tuple[Changes, Addresses]]) -> dict[str, Published]:
    """Static functions and variables that the patch makes global."""
    return {
        name: Published(addresses, before)
        for changes, addresses in files
        for before, after in changes.published
        for name in (after.name, *after.aliases)
    }


def _cut(file: File, resolver: KernelResolver, reading_keys: Callable[[], Side] | None) -> _Cut:
    """:param reading_keys: compiles the patched side anew; None where no other code may come of it than is proved."""
    changes = file.changes
    functions = _prove(changes, file.addresses)
    try:
        output = select(changes, file.objname, resolver)
    except Refusal as refusal:
        if refusal.kind is not MODULE_STATIC_KEY or reading_keys is None:
            raise
        output = select(with_keys_read(changes, reading_keys()), file.objname, resolver)
    return _Cut(file.source, output, functions)


def _with_data(cut: _Cut, file: File, resolver: KernelResolver, count: int) -> _Cut:
    """Prove the variables that are to change in memory, and make their old and new contents.

    :param count: of such variables in other files.
    """
    if not file.changes.data:
        return cut
    addresses = file.addresses
    shipped = addresses.shipped
    places = [addresses.prove_data(before) for before, _ in file.changes.data]
    made = contents(file.changes, shipped.objname, resolver, count)
    data = []
    for (before, _), address, symbol in zip(file.changes.data, places, made.symbols, strict=True):
        name = addresses.name_at(before, address)
        data.append(Variable(shipped.objname, name, sympos(shipped, name, address), before.size, symbol))
    return dataclasses.replace(cut, data=tuple(data), contents=made.obj)


def _side(data: bytes, pair: ObjectPair, kernel: Kernel) -> Side:
    view = View(reader.read(data, pair.source))
    return Side(view, Entries(view, kernel.entry_sizes))


def _side_reading_keys(pair: ObjectPair, kernel: Kernel, workspace: Workspace) -> Side:
    return _side(patched_object_reading_keys(workspace, pair), pair, kernel)


def _prove(changes: Changes, addresses: Addresses) -> tuple[tuple[str, int], ...]:
    found = []
    for original, _ in changes.changed:
        address = addresses.prove(original).address
        if addresses.shipped.is_discarded(address):
            where = f"{addresses.view.obj.name}: {original.name}()"
            found_in = f"is in the part of {addresses.shipped.objname} that is freed after init"
            raise Refusal(INIT_FUNCTION_CHANGED, where, found_in)
        old_name = addresses.name_at(original, address)
        found.append((old_name, sympos(addresses.shipped, old_name, address)))
    return tuple(found)


def _assemble(name: str, replace: bool, cuts: Sequence[_Cut]) -> tuple[LivePatch, dict[str, ObjectFile]]:
    """The model that the glue is written from, and the objects to link, by file name."""
    functions: dict[str, list[PatchedFunction]] = {}
    objects: dict[str, ObjectFile] = {}
    count = 0
    for number, cut in enumerate(cuts):
        part, entries = klp.with_entries(cut.output, count)
        if len(part.sections) > 1:
            objects[f"part_{number}"] = part
        if cut.contents is not None:
            objects[f"data_{number}"] = cut.contents
        count += len(entries)
        for (old_name, position), entry in zip(cut.functions, entries, strict=True):
            function = PatchedFunction(old_name, position, entry.name, cut.source)
            functions.setdefault(cut.output.objname, []).append(function)
    patched = tuple(PatchedObject(objname, tuple(replaced)) for objname, replaced in sorted(functions.items()))
    return LivePatch(name, patched, replace), objects


def _default_name(patch: Path) -> str:
    """``livepatch_`` and the patch file's name, cut to what the kernel takes: git's names alone can be longer."""
    plain = re.sub(r"\W+", "_", patch.stem, flags=re.ASCII).strip("_") or "patch"
    return f"livepatch_{plain}"[: kbuild.NAME_LENGTH]
