# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects after the patch: the commands of the originals, run in a shadow of the tree."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from suture.errors import DISK_FULL, PATCH_DOES_NOT_COMPILE, UNWIND_DATA_DOUBTFUL, Refusal
from suture.host.files import temporary_directory
from suture.host.progress import advance, step
from suture.host.run import EVIDENCE_LINES, run, says_disk_full
from suture.workspace import command, kbuild, store
from suture.workspace.applying import Changed
from suture.workspace.command import Compilation
from suture.workspace.lines import renumber
from suture.workspace.overlay import Shadow, shadow
from suture.workspace.prepare import Workspace
from suture.workspace.remembered import RememberedObjects
from suture.workspace.store import Stored

ESCAPES = 20
"""How often a compilation is repeated for headers outside the shadow; each time mends all that were
found."""

_DOUBT = re.compile(r"(?:warning|error): objtool: (.*)$", re.MULTILINE)
_OFFSET = re.compile(r"\+0x[0-9a-f]+")

Environment = Mapping[str, str]


class Made(Protocol):
    """The result of a compilation."""

    @property
    def compilation(self) -> Compilation:
        """The command, with the files that it read as its dependencies."""
        ...


M = TypeVar("M", bound=Made)


def patched_objects(
    workspace: Workspace, originals: Sequence[Stored], changes: Sequence[Changed]
) -> dict[str, Stored]:
    """Return the patched object of each of `originals`, by the object's name.

    :raises Refusal: ``patch-does-not-compile``, ``unwind-data-doubtful``, ``disk-full``
    """
    contents = with_original_lines(changes)
    remembered = RememberedObjects(
        workspace.directory / "objects", "patched", workspace.name, workspace.tree
    )
    done = {
        one.compilation.object: stored
        for one in originals
        if (stored := remembered.find(one.compilation, contents))
    }
    todo = {
        one.compilation.object: one.compilation
        for one in originals
        if one.compilation.object not in done
    }
    if todo:
        what = next(iter(todo)) if len(todo) == 1 else f"{len(todo)} objects"
        with step("Compiling the patched side", what), shadow(workspace.tree, contents) as tree:
            try:
                make = partial(_compile, workspace)
                for stored in rounds(workspace, tree, list(todo.values()), make):
                    name = stored.compilation.object
                    done[name] = stored
                    advance(len(done), len(originals))
                    remembered.keep(todo[name], contents, stored)
            except Refusal as refusal:
                raise _with_true_lines(
                    workspace, changes, list(todo.values()), refusal
                ) from refusal
    return done


def _with_true_lines(
    workspace: Workspace, changes: Sequence[Changed], todo: Sequence[Compilation], refusal: Refusal
) -> Refusal:
    """Return the same refusal with the line numbers of the patched file, which the author knows."""
    if refusal.kind is not PATCH_DOES_NOT_COMPILE:
        return refusal
    failed = [compilation for compilation in todo if compilation.source == refusal.where]
    plain = {change.path: change.new for change in changes}
    with shadow(workspace.tree, plain) as tree:
        try:
            list(rounds(workspace, tree, failed, partial(_compile, workspace)))
        except Refusal as better:
            return better
    return refusal


def with_original_lines(changes: Sequence[Changed]) -> dict[str, bytes]:
    """Return the patched files by path, with directives that keep the line numbers of unchanged
    lines."""
    return {
        change.path: change.new if change.old is None else renumber(change.old, change.new)
        for change in changes
    }


def patched_key(
    what: str, workspace: Workspace, compilation: Compilation, contents: Mapping[str, bytes]
) -> str:
    """Return a key for the result `what` of an object in the shadow with `contents`.

    Of the changed files, an object depends on its source and on all files that may be included.  It
    does not depend on another object's source, so that a change there does not compile it again.
    """
    relevant = {path for path in contents if not path.endswith(".c") or path in compilation.reads}
    parts: list[str | bytes] = [what, workspace.name, compilation.text]
    for path in sorted(relevant):
        parts += [path, contents[path]]
    return store.key(parts)


def rounds(
    workspace: Workspace,
    tree: Shadow,
    todo: Sequence[Compilation],
    make: Callable[[Path, Environment, Compilation], M],
) -> Iterator[M]:
    """Call `make` for each compilation in the shadow, in parallel, and again for each that read a
    file from outside it.

    The shadow changes only between two rounds.

    :raises Refusal: ``patch-does-not-compile``, and what `make` raises
    """
    environment = kbuild.build_environment(workspace.environment)
    for _ in range(ESCAPES):
        again: list[Compilation] = []
        for made in side_by_side(todo, lambda one: make(tree.root, environment, one)):
            escaped = tree.escaped(made.compilation.dependencies)
            if escaped:
                again.append(made.compilation)
                for dependency in escaped:
                    tree.materialise_towards(dependency)
            else:
                yield made
        if not again:
            return
        todo = again
    raise Refusal(
        PATCH_DOES_NOT_COMPILE, todo[0].source, "includes an unpatched copy of a patched header"
    )


def side_by_side(todo: Sequence[Compilation], make: Callable[[Compilation], M]) -> Iterator[M]:
    """Call `make` on as many processors as there are, and yield the results in order; after an
    exception no further call begins."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            yield from pool.map(make, todo)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _compile(
    workspace: Workspace, root: Path, environment: Environment, compilation: Compilation
) -> Stored:
    with temporary_directory() as scratch:
        output, listed = Path(scratch, "patched.o"), Path(scratch, "dependencies")
        doubts = _run_steps(root, environment, compilation, output, listed)
        read = command.dependencies(listed.read_text(errors="surrogateescape"))
        made = Stored(
            Compilation(compilation.object, compilation.source, compilation.steps, read),
            output.read_bytes(),
        )
    if doubts:
        _refuse_new_doubts(workspace, environment, compilation, doubts)
    return made


def _run_steps(
    root: Path, environment: Environment, compilation: Compilation, output: Path, listed: Path
) -> set[str]:
    """Run the commands that compile one object.

    :return: objtool's warnings, without offsets, which differ after every change.
    """
    doubts: set[str] = set()
    for words in compilation.redirected(str(output), str(listed)):
        finished = run(words, cwd=root, env=environment)
        if finished.status != 0:
            lines = finished.stderr.strip().splitlines()
            raise Refusal(
                DISK_FULL if says_disk_full(lines) else PATCH_DOES_NOT_COMPILE,
                compilation.source,
                f"{Path(words[0]).name} exited with status {finished.status}",
                evidence=[line.replace(f"{root}/", "") for line in lines[:EVIDENCE_LINES]],
            )
        doubts |= {_OFFSET.sub("", said) for said in _DOUBT.findall(finished.stderr)}
    return doubts


def _refuse_new_doubts(
    workspace: Workspace, environment: Environment, compilation: Compilation, doubts: set[str]
) -> None:
    """Refuse objtool's warnings about code that it does not also warn about in the original.

    :raises Refusal: ``unwind-data-doubtful``
    """
    with temporary_directory() as scratch:
        output, listed = Path(scratch, "original.o"), Path(scratch, "dependencies")
        old = _run_steps(workspace.tree, environment, compilation, output, listed)
    new = sorted(doubts - old)
    if new:
        raise Refusal(
            UNWIND_DATA_DOUBTFUL, compilation.source, new[0], evidence=new[1:EVIDENCE_LINES]
        )
