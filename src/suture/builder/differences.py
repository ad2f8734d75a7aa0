# SPDX-License-Identifier: GPL-2.0-or-later
"""Compiled pairs of objects -> what differs in each file."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from suture.diff.changes import Changes, compare
from suture.diff.comparison import Side
from suture.diff.correlate import Correlation
from suture.diff.data import DataRequest, names
from suture.diff.omitted import LeftOut, told
from suture.elf import reader
from suture.errors import (
    CALLBACK_DUPLICATE,
    CALLBACK_UNUSABLE,
    DATA_NOT_CHANGED,
    IGNORED_NOT_FOUND,
    NO_CODE_CHANGE,
    REVERSAL_VETO,
    Refusal,
)
from suture.formats import macros
from suture.host.progress import note
from suture.objects.special import Entries
from suture.objects.view import View
from suture.verify.addresses import Addresses
from suture.verify.kernel import Kernel
from suture.verify.plan import ComparedFile
from suture.workspace.compile import ObjectPair

OF_HOOKS = (CALLBACK_DUPLICATE, CALLBACK_UNUSABLE, IGNORED_NOT_FOUND, REVERSAL_VETO)
"""Refusals about a macro of the patch, which have the line of the macro added."""


def compare_pairs(
    pairs: Sequence[ObjectPair], kernel: Kernel, request: DataRequest
) -> tuple[ComparedFile, ...]:
    """Compare each pair; files whose code does not differ are noted and left out.

    :raises Refusal: ``data-not-changed``, and what `suture.diff.changes.compare` raises
    """
    compared = []
    for pair in pairs:
        changes = _compare(pair, kernel, request)
        if changes.is_empty:
            note(f"{pair.source}: the patch does not change its code")
        else:
            compared.append(_file(pair, changes, kernel))
    _refuse_unused(pairs, [file.changes for file in compared], request)
    return tuple(compared)


def unchanged_file(pair: ObjectPair, kernel: Kernel) -> ComparedFile:
    """A file that the patch leaves alone: the original object is on both sides."""
    same = side_of(pair.original, pair, kernel)
    changes = Changes(same, same, Correlation({unit: unit for unit in same.view.units}))
    return _file(pair, changes, kernel)


def side_of(data: bytes, pair: ObjectPair, kernel: Kernel) -> Side:
    """Read one of the two objects of a pair."""
    view = View(reader.read(data, pair.source))
    return Side(view, Entries(view, kernel.entry_sizes))


def left_out_of(files: Sequence[ComparedFile]) -> tuple[LeftOut, ...]:
    """The parts of the patch that the live patch does without."""
    return tuple(
        told(part, file.source, file.objname) for file in files for part in file.changes.left_out
    )


def nothing_left(files: Sequence[ComparedFile], sources: Sequence[str]) -> Refusal:
    """The refusal of a patch that replaces nothing: why it is left out, where something is."""
    parts = [(file, part) for file in files for part in file.changes.left_out]
    if not parts:
        return Refusal(NO_CODE_CHANGE, ", ".join(sources), "no function differs")
    (file, first), *rest = parts
    others = [f"{other.source}: {part.found}" for other, part in rest]
    return first.refusal(file.source, file.objname, others)


def _file(pair: ObjectPair, changes: Changes, kernel: Kernel) -> ComparedFile:
    addresses = Addresses(changes.original.view, kernel.shipped(pair.objname))
    return ComparedFile.of(pair.source, pair.objname, changes, addresses)


def _compare(pair: ObjectPair, kernel: Kernel, request: DataRequest) -> Changes:
    original = side_of(pair.original, pair, kernel)
    patched = side_of(pair.patched, pair, kernel)
    try:
        return compare(original, patched, request)
    except Refusal as refusal:
        if refusal.kind in OF_HOOKS:
            texts = [change.new for change in pair.changes if change.path == pair.source]
            raise macros.located(refusal, b"".join(texts)) from refusal
        raise


def _refuse_unused(
    pairs: Sequence[ObjectPair], changes: Collection[Changes], request: DataRequest
) -> None:
    """Refuse names of variables that the patch does not change.

    :raises Refusal: ``data-not-changed``
    """
    patched = {name for found in changes for change in found.data for name in names(change.after)}
    kept = {name for found in changes for after in found.kept_values for name in names(after)}
    for option, wanted, used in (
        ("--patch-data", request.patch, patched),
        ("--keep-data", request.keep, kept),
    ):
        for name in sorted(set(wanted) - used):
            files = ", ".join(pair.source for pair in pairs)
            found = f"the patch changes no such variable in {files}"
            raise Refusal(DATA_NOT_CHANGED, f"{option} {name}", found)
