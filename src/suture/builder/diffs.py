# SPDX-License-Identifier: GPL-2.0-or-later
"""From source diffs, compiled before and after, to the parts of a live patch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

from suture.builder.inputs import Choices
from suture.builder.part import Cut
from suture.diff.changes import Changes, compare
from suture.diff.comparison import Side
from suture.diff.contents import contents
from suture.diff.correlate import Correlation
from suture.diff.data import Asked, names
from suture.diff.omitted import LeftOut, told
from suture.diff.select import select
from suture.diff.static_branches import with_keys_read
from suture.elf import reader
from suture.errors import (
    CALLBACK_DUPLICATE,
    CALLBACK_UNUSABLE,
    DATA_NOT_CHANGED,
    IGNORED_NOT_FOUND,
    INIT_FUNCTION_CHANGED,
    MODULE_STATIC_KEY,
    NO_CODE_CHANGE,
    REVERSAL_VETO,
    Refusal,
)
from suture.formats import macros
from suture.host.progress import note
from suture.kernel.modules import importers
from suture.link.glue import Variable
from suture.link.resolve.kernel import KernelResolver, Published
from suture.objects.special import Entries
from suture.objects.view import View
from suture.verify.addresses import Addresses
from suture.verify.callers import Because, File, Surroundings, widen
from suture.verify.kernel import Kernel
from suture.verify.old_callers import Declared, refuse_changed_prototypes
from suture.verify.sympos import sympos
from suture.verify.threads import refuse_threads, refuse_unused
from suture.workspace.caller_candidates import mentioning
from suture.workspace.compile import ObjectPair
from suture.workspace.declarations import declared, may_change_prototypes
from suture.workspace.jump_label_header import patched_object_reading_keys
from suture.workspace.overlay import Changed
from suture.workspace.prepare import Workspace

OF_HOOKS = (CALLBACK_DUPLICATE, CALLBACK_UNUSABLE, IGNORED_NOT_FOUND, REVERSAL_VETO)


def cut_all(
    pairs: Sequence[ObjectPair],
    kernel: Kernel,
    workspace: Workspace,
    choices: Choices,
) -> tuple[list[Cut], tuple[LeftOut, ...], tuple[Because, ...]]:
    asked, replace_threads = Asked(choices.patch_data, choices.keep_data), choices.replace_threads
    changes = {
        pair: found for pair in pairs if (found := _compare(pair, kernel, asked)) is not None
    }
    _refuse_unused(pairs, changes.values(), asked)
    files = [
        File(
            pair.source,
            pair.objname,
            found,
            Addresses(found.original.view, kernel.shipped(pair.objname)),
        )
        for pair, found in changes.items()
    ]
    of_source = {pair.source: pair for pair in changes}
    provided = _provided(files)
    around = _surroundings(kernel, workspace)
    if may_change_prototypes(pairs[0].changes):
        refuse_changed_prototypes(
            files, around, kernel.symvers.__contains__, _declared(workspace, pairs[0].changes)
        )
    wide, because = widen(files, around, choices.bounds)
    refuse_unused((file.changes for file in wide), replace_threads)
    for file in wide:
        refuse_threads(file.changes, replace_threads)
    published = _published((file.changes, file.addresses) for file in wide)
    cuts: list[Cut] = []
    for file in wide:
        if file.changes.need_code or file.changes.data:
            own = provided | _carried(wide, file)
            resolver = KernelResolver(
                file.addresses,
                kernel.symvers,
                kernel.vmlinux,
                kernel.module,
                own,
                published,
                kernel.needed,
            )
            with_keys = file.source in of_source and not file.changes.carried
            reading_keys = (
                partial(_side_reading_keys, of_source[file.source], kernel, workspace)
                if with_keys
                else None
            )
            count = sum(len(other.data) for other in cuts)
            cuts.append(_with_data(_cut(file, resolver, reading_keys), file, resolver, count))
    if not any(cut.functions or cut.data or cut.output.calls for cut in cuts):
        raise _nothing_left(changes, pairs)
    left_out = tuple(
        told(part, pair.source, pair.objname)
        for pair, found in changes.items()
        for part in found.left_out
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


def _declared(workspace: Workspace, changes: Sequence[Changed]) -> Declared:
    return lambda source, names, patched: declared(
        workspace, source, names, changes if patched else ()
    )


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
    """Global names that the live patch has new code for, as far as a file can mean them: an object
    may have its own."""
    shipped = user.addresses.shipped
    return frozenset(
        name
        for file in files
        for _, after in file.changes.carried
        for name in (() if after.is_local else (after.name, *after.aliases))
        if file.objname == user.objname or not shipped.global_addresses(name)
    )


def _nothing_left(changes: Mapping[ObjectPair, Changes], pairs: Sequence[ObjectPair]) -> Refusal:
    """No function is to be replaced; what would have been left out is the reason, if anything
    was."""
    left_out = [(pair, part) for pair, found in changes.items() for part in found.left_out]
    if not left_out:
        return Refusal(
            NO_CODE_CHANGE, ", ".join(pair.source for pair in pairs), "no function differs"
        )
    (pair, first), *rest = left_out
    return first.refusal(
        pair.source, pair.objname, [f"{other.source}: {part.found}" for other, part in rest]
    )


def _refuse_unused(pairs: Sequence[ObjectPair], changes: Collection[Changes], asked: Asked) -> None:
    """:raises Refusal: ``data-not-changed``"""
    patched = {name for found in changes for _, after in found.data for name in names(after)}
    kept = {name for found in changes for after in found.stay for name in names(after)}
    for option, wanted, used in (
        ("--patch-data", asked.patch, patched),
        ("--keep-data", asked.keep, kept),
    ):
        for name in sorted(set(wanted) - used):
            files = ", ".join(pair.source for pair in pairs)
            raise Refusal(
                DATA_NOT_CHANGED,
                f"{option} {name}",
                f"the patch changes no such variable in {files}",
            )


def _compare(pair: ObjectPair, kernel: Kernel, asked: Asked) -> Changes | None:
    """What the patch changed in one source file; None, with a note, where that is nothing."""
    try:
        return compare(_side(pair.original, pair, kernel), _side(pair.patched, pair, kernel), asked)
    except Refusal as refusal:
        if refusal.kind in OF_HOOKS:
            texts = [change.new for change in pair.changes if change.path == pair.source]
            raise macros.located(refusal, b"".join(texts)) from refusal
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


def _cut(file: File, resolver: KernelResolver, reading_keys: Callable[[], Side] | None) -> Cut:
    """:param reading_keys: compiles the patched side anew; None where no other code may come of it
    than is proved."""
    changes = file.changes
    functions = _prove(changes, file.addresses)
    try:
        output = select(changes, file.objname, resolver)
    except Refusal as refusal:
        if refusal.kind is not MODULE_STATIC_KEY or reading_keys is None:
            raise
        output = select(with_keys_read(changes, reading_keys()), file.objname, resolver)
    return Cut(file.source, output, functions)


def _with_data(cut: Cut, file: File, resolver: KernelResolver, count: int) -> Cut:
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
        data.append(
            Variable(shipped.objname, name, sympos(shipped, name, address), before.size, symbol)
        )
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
