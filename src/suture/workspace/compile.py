# SPDX-License-Identifier: GPL-2.0-or-later
"""The objects that a patch changes, compiled before and after it.

1. The patch is applied to copies.  Each changed file is code, a header, or irrelevant to the
   code.
2. kbuild lists the objects that the target builds from the changed files.
3. Of the objects that only include changed files, those whose preprocessed text changes are
   selected.
4. kbuild compiles the originals in the pristine tree, and leaves the exact command of each.
5. The same commands compile the patched objects, in a shadow of the tree that holds the patched
   files.

Each object is kept under a digest of its inputs, so that a second build of the same patch compiles
nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from suture.errors import ASSEMBLY_FILE, NO_CODE_CHANGE, SHARED_OBJECT, Refusal
from suture.formats import headers, macros
from suture.formats.diff import PatchSource
from suture.host.progress import note
from suture.model import VMLINUX
from suture.workspace.affected import BATCH, about, affected, batches, remaining
from suture.workspace.applying import Adapted, Changed, apply
from suture.workspace.code_files import LeftOutFile, sort
from suture.workspace.command import Compilation
from suture.workspace.generated import check_generated, without_generators
from suture.workspace.kbuild import ListedObject
from suture.workspace.original import originals
from suture.workspace.patched import patched_objects
from suture.workspace.prepare import Workspace
from suture.workspace.selection import Selection, select
from suture.workspace.store import Stored


@dataclass(frozen=True, slots=True)
class ObjectPair:
    """The objects of one source file before and after the patch, both ELF relocatable files.

    :ivar source: the source file, from the top of the tree.
    :ivar objname: the object of the kernel that it is linked into: `VMLINUX` or a module's name as
        the kernel spells it (``_``).
    :ivar compilation: the command that made the original.
    :ivar changes: the files that the patch changes, for compiling the patched side again.
    """

    source: str
    objname: str
    original: bytes
    patched: bytes
    compilation: Compilation
    changes: tuple[Changed, ...]


@dataclass(frozen=True, slots=True)
class Touched:
    """The files that a patch changes, and the objects that may change with them.

    :ivar changes: the changed files that have a say in the code.
    :ivar changed: the same, and the headers of kpatch and Ksplice if the patch includes any.
    :ivar adapted: the patch files that did not fit as they are written.
    :ivar left_out: the changed files that have no say in the code.
    """

    changes: tuple[Changed, ...]
    changed: tuple[Changed, ...]
    selection: Selection
    adapted: tuple[Adapted, ...] = ()
    left_out: tuple[LeftOutFile, ...] = ()


def touched_by(workspace: Workspace, patch: PatchSource) -> Touched:
    """Apply a patch to copies, and find the objects that may change.

    :raises Refusal: ``patch-header-unknown``, ``patch-macro-unknown``, ``callback-duplicate``,
        ``patch-does-not-apply``, ``patch-already-applied``, ``patch-path-escapes``,
        ``source-removed``, ``source-renamed``, ``assembly-file``, ``build-system-changed``,
        ``no-code-change``, ``file-not-built``, ``separate-program``,
        ``generated-header-changed``, ``patch-does-not-compile``
    """
    applied = apply(workspace.tree, patch)
    sorted_out = sort(applied.changes, workspace.environment["SRCARCH"])
    changes = without_generators(workspace, sorted_out.code)
    selection = select(workspace, changes)
    left_out = sorted_out.left_out + selection.left_out
    gone = {one.path for one in left_out}
    built = tuple(one for one in changes if one.path not in gone)
    return Touched(built, built + _of_camps(built), selection, applied.adapted, left_out)


def object_pairs(workspace: Workspace, touched: Touched) -> tuple[ObjectPair, ...]:
    """Compile the objects that a patch changes, sorted by source.

    :raises Refusal: ``no-code-change``, ``shared-object``, ``generated-header-changed``,
        ``original-does-not-compile``, ``patch-does-not-compile``, ``disk-full``
    """
    changes, changed, selection = touched.changes, touched.changed, touched.selection
    pairs = _compile(workspace, selection.direct, changed, keep_equal=True)
    check_generated(workspace, changes)
    if selection.users:
        pairs += _users(workspace, selection, changed)
    if not pairs:
        raise Refusal(
            NO_CODE_CHANGE,
            ", ".join(change.path for change in changes),
            "no object that includes it changes",
        )
    return tuple(sorted(pairs, key=lambda pair: pair.source))


def _of_camps(changes: Sequence[Changed]) -> tuple[Changed, ...]:
    """Return the headers of kpatch and Ksplice as added files, if the patch includes any."""
    contents = {change.path: change.new for change in changes}
    found = headers.wanted(contents)
    macros.check(contents)
    return tuple(Changed(path, None, text) for path, text in found.items())


def _users(
    workspace: Workspace, selection: Selection, changes: tuple[Changed, ...]
) -> list[ObjectPair]:
    found = affected(workspace, selection, changes)
    total, done = len(found.objects), 0
    if total > BATCH:
        note(f"compiling {total} objects before and after, which takes {about(found.seconds)}")
    pairs: list[ObjectPair] = []
    started = time.monotonic()
    for batch in batches(found.objects):
        if done == BATCH:
            note(remaining(done, total, time.monotonic() - started))
        pairs += _compile(workspace, batch, changes, keep_equal=False)
        done += len(batch)
    return pairs


def unchanged_pairs(
    workspace: Workspace, objects: Sequence[ListedObject]
) -> tuple[ObjectPair, ...]:
    """Return objects that the patch does not change, with the original on both sides; an object
    that several modules share is left out.

    :raises Refusal: ``original-does-not-compile``, ``disk-full``
    """
    found = originals(workspace, objects)
    return tuple(
        pair_of(one, one, ()) for one in found if ":" not in (one.compilation.modname or "")
    )


def _compile(
    workspace: Workspace,
    objects: Sequence[ListedObject],
    changes: tuple[Changed, ...],
    *,
    keep_equal: bool,
) -> list[ObjectPair]:
    before = originals(workspace, objects)
    after = patched_objects(workspace, before, changes)
    pairs = [(first, after[first.compilation.object]) for first in before]
    return [
        pair_of(*pair, changes)
        for pair in pairs
        if keep_equal or pair[0].content != pair[1].content
    ]


def pair_of(before: Stored, after: Stored, changes: tuple[Changed, ...]) -> ObjectPair:
    """Pair an original object with the patched one.

    :raises Refusal: ``assembly-file``, ``shared-object``
    """
    compilation = before.compilation
    if compilation.source.endswith(".S"):
        raise Refusal(
            ASSEMBLY_FILE,
            compilation.source,
            "includes a changed header, and its code changes with it",
        )
    if (
        compilation.modname is not None and ":" in compilation.modname
    ):  # scripts/Makefile.lib: modname-multi
        modules = compilation.modname.replace(":", " and ")
        raise Refusal(SHARED_OBJECT, compilation.source, f"is linked into {modules}")
    objname = VMLINUX if compilation.modname is None else compilation.modname
    return ObjectPair(
        os.path.normpath(compilation.source),
        objname,
        before.content,
        after.content,
        compilation,
        changes,
    )
