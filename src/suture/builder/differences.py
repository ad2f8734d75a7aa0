# SPDX-License-Identifier: GPL-2.0-or-later
"""Compiled pairs of objects -> the differences in each source file."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from suture.diff.changes import Changes, compare
from suture.diff.comparison import Side
from suture.diff.correlate import Correlation
from suture.diff.data import DataRequest, written_names
from suture.diff.omitted import OmittedPart
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
from suture.state.reach import Reach, unreached_parts
from suture.verify.addresses import Addresses
from suture.verify.kernel import Kernel
from suture.verify.plan import ComparedFile
from suture.workspace.compile import ObjectPair

MACRO_REFUSALS = (CALLBACK_DUPLICATE, CALLBACK_UNUSABLE, IGNORED_NOT_FOUND, REVERSAL_VETO)
"""Refusals about a macro of the patch; the macro's line is added to their place."""


def compare_pairs(
    pairs: Sequence[ObjectPair], kernel: Kernel, request: DataRequest
) -> tuple[ComparedFile, ...]:
    """Compare each pair; files without a change of code are noted and left out.

    :raises Refusal: ``data-not-changed``, and what `suture.diff.changes.compare` raises
    """
    compared = []
    for pair in pairs:
        changes = _compare(pair, kernel, request)
        if changes.is_empty:
            note(f"{pair.source}: the patch does not change its code")
        else:
            compared.append(_file(pair, changes, kernel))
    _refuse_unchanged_names(pairs, [file.changes for file in compared], request)
    return tuple(compared)


def unchanged_file(pair: ObjectPair, kernel: Kernel) -> ComparedFile:
    """Return a file that the patch does not change: the original object is on both sides."""
    same = side_of(pair.original, pair, kernel)
    changes = Changes(same, same, Correlation({unit: unit for unit in same.view.units}))
    return _file(pair, changes, kernel)


def side_of(data: bytes, pair: ObjectPair, kernel: Kernel) -> Side:
    """Read one of the two objects of a pair."""
    return Side.of(reader.read(data, pair.source), kernel.entry_sizes)


def omitted_parts(
    files: Sequence[ComparedFile], reach: Reach
) -> list[tuple[str, str, OmittedPart]]:
    """Return the parts of the patch that are left out: source file, its object, part."""
    objects = {file.source: file.objname for file in files}
    parts = [(file.source, file.objname, part) for file in files for part in file.changes.left_out]
    return parts + [(source, objects[source], part) for source, part in unreached_parts(reach)]


def nothing_left(parts: Sequence[tuple[str, str, OmittedPart]], sources: Sequence[str]) -> Refusal:
    """Return the refusal of a patch that replaces nothing.

    :param parts: source file, object, and what of it is left out; the first gives the reason.
    """
    if not parts:
        return Refusal(NO_CODE_CHANGE, ", ".join(sources), "no function differs")
    (source, objname, first), *rest = parts
    others = [f"{other}: {part.found}" for other, _, part in rest]
    return first.refusal(source, objname, others)


def _file(pair: ObjectPair, changes: Changes, kernel: Kernel) -> ComparedFile:
    addresses = Addresses(changes.original.view, kernel.shipped(pair.objname))
    return ComparedFile.of(pair.source, pair.objname, changes, addresses)


def _compare(pair: ObjectPair, kernel: Kernel, request: DataRequest) -> Changes:
    original = side_of(pair.original, pair, kernel)
    patched = side_of(pair.patched, pair, kernel)
    try:
        return compare(original, patched, request)
    except Refusal as refusal:
        if refusal.kind in MACRO_REFUSALS:
            texts = [change.new for change in pair.changes if change.path == pair.source]
            raise macros.located(refusal, b"".join(texts)) from refusal
        raise


def _refuse_unchanged_names(
    pairs: Sequence[ObjectPair], changes: Collection[Changes], request: DataRequest
) -> None:
    """Refuse names of variables that the patch does not change.

    :raises Refusal: ``data-not-changed``
    """
    patched, kept = set[str](), set[str]()
    for of_file in changes:
        patched.update(*(written_names(change.after) for change in of_file.data))
        kept.update(*(written_names(after) for after in of_file.kept_values))
    for option, wanted, used in (
        ("--patch-data", request.patch, patched),
        ("--keep-data", request.keep, kept),
    ):
        for name in sorted(set(wanted) - used):
            files = ", ".join(pair.source for pair in pairs)
            found = f"the patch changes no such variable in {files}"
            raise Refusal(DATA_NOT_CHANGED, f"{option} {name}", found)
