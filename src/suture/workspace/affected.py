# SPDX-License-Identifier: GPL-2.0-or-later
"""Selection of the objects whose code changes, from those that may include a changed file.

1. `suture.workspace.graph` gives the files that each object really reads.  An object that reads no
   changed file is left out, and so is one that mentions none of the changed functions
   (`suture.workspace.inlines`).
2. The others are preprocessed with the patch applied.  The same text gives the same functions.

Each result is kept, so that an interrupted run resumes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from suture.host.progress import advance, note, step
from suture.workspace import graph, store
from suture.workspace.applying import Changed
from suture.workspace.graph import Preprocessed, originals_preprocessed, preprocess
from suture.workspace.inlines import changed_bodies
from suture.workspace.kbuild import ListedObject
from suture.workspace.overlay import Shadow, shadow
from suture.workspace.patched import patched_key, rounds, with_original_lines
from suture.workspace.prepare import Workspace
from suture.workspace.selection import Selection

BATCH = 64
"""So many at a time that kbuild's start does not matter, and so few that what is lost by a stop
does not."""

COMPILING = 14
"""Compiling an object before and after takes so many times what preprocessing it once does (of
``net/ipv4/`` of 6.1, twice 2.1 seconds and 0.3)."""


Bodies = Mapping[str, frozenset[bytes] | None]
"""From a changed file to the functions that change in it; None where not only their bodies do."""


@dataclass(frozen=True, slots=True)
class Affected:
    """The objects whose code changes with the changed files.

    :ivar seconds: about what compiling them before and after takes; 0 where nothing was
        measured.
    """

    objects: tuple[ListedObject, ...]
    seconds: float


def affected(workspace: Workspace, selection: Selection, changes: Sequence[Changed]) -> Affected:
    """Return the users in `selection` whose preprocessed text differs with `changes`.

    :raises Refusal: ``original-does-not-compile``, ``patch-does-not-compile``, ``disk-full``
    """
    contents = with_original_lines(changes)
    bodies = {
        one.path: None if one.old is None else changed_bodies(one.old, one.new) for one in changes
    }
    total, done, readers = len(selection.users), 0, 0
    differing: list[ListedObject] = []
    note(
        f"{total} object(s) may include the changed files; preprocessing each, and compiling "
        "those that change"
    )
    started = time.monotonic()
    with (
        step("Finding objects that change with them", f"{total} objects"),
        shadow(workspace.tree, contents) as tree,
    ):
        for batch in batches(selection.users):
            if done == BATCH:  # the first of several tells what they cost on this machine
                note(remaining(done, total, time.monotonic() - started))
            before = originals_preprocessed(workspace, batch)
            read = {one: _read(one, before[one], selection, bodies) for one in before}
            todo = {
                one: before[one]
                for one, changed in read.items()
                if _may_differ(before[one], changed)
            }
            differing += _differing(workspace, tree, todo, contents)
            readers += sum(bool(changed) for changed in read.values())
            done += len(batch)
            advance(done, total)
    each = (time.monotonic() - started) / max(1, total)
    note(f"{readers} object(s) include the changed files; {len(differing)} change with them")
    return Affected(tuple(differing), each * COMPILING * len(differing))


def _read(
    one: ListedObject, before: Preprocessed, selection: Selection, bodies: Bodies
) -> list[frozenset[bytes] | None]:
    """Return the changes of each changed file that the object reads; all of an added file that it
    may read has changed."""
    read = [bodies[path] for path in before.compilation.reads & bodies.keys()]
    return [*read, None] if one.name in selection.users_of_added else read


def _may_differ(before: Preprocessed, changed: Sequence[frozenset[bytes] | None]) -> bool:
    return any(
        functions is None or not functions <= before.essence.unmentioned for functions in changed
    )


def _differing(
    workspace: Workspace,
    tree: Shadow,
    before: Mapping[ListedObject, Preprocessed],
    contents: Mapping[str, bytes],
) -> list[ListedObject]:
    directory = workspace.directory / "graph"
    keys = {
        first.compilation.object: patched_key(
            f"text {graph.RECIPE}", workspace, first.compilation, contents
        )
        for first in before.values()
    }
    after = {
        name: kept
        for name, key in keys.items()
        if (kept := store.load_bytes(directory, key)) is not None
    }
    todo = [first.compilation for first in before.values() if first.compilation.object not in after]
    for made in rounds(workspace, tree, todo, preprocess):
        # Where the preprocessor fails there is no digest: the compiler will say why.
        after[made.compilation.object] = made.essence.digest
        if not made.failure:
            store.save_bytes(directory, keys[made.compilation.object], made.essence.digest)
    return [
        one
        for one, first in before.items()
        if after[first.compilation.object] != first.essence.digest
    ]


def batches(objects: Sequence[ListedObject]) -> Iterator[Sequence[ListedObject]]:
    """Split objects into batches of equal size."""
    for start in range(0, len(objects), BATCH):
        yield objects[start : start + BATCH]


def remaining(done: int, total: int, seconds: float) -> str:
    """Estimate the seconds for the remaining objects from those that the first took."""
    rest = about(seconds / done * (total - done))
    return f"{done} of {total} objects took {seconds:.0f} s; the others take {rest}"


def about(seconds: float) -> str:
    """Return a duration in minutes, for people."""
    return f"about {max(1, round(seconds / 60))} min"
