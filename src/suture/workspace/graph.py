# SPDX-License-Identifier: GPL-2.0-or-later
"""The files that the preprocessor reads for each object, and the essence of its output.

The preprocessor alone runs with the object's own command, which takes a seventh of the time of
compiling.  The results for the pristine tree are kept with the workspace, each as soon as it is
made.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from suture.errors import ORIGINAL_DOES_NOT_COMPILE, Refusal
from suture.host.files import locked, temporary_directory
from suture.host.progress import note
from suture.host.run import EVIDENCE_LINES, run
from suture.workspace import command, kbuild, store
from suture.workspace.command import Compilation
from suture.workspace.kbuild import ListedObject
from suture.workspace.original import run_kbuild
from suture.workspace.patched import Environment, side_by_side
from suture.workspace.prepare import Workspace
from suture.workspace.preprocessed import Essence, essence

RECIPE = "2"
"""Raised whenever an essence is taken in another way."""


@dataclass(frozen=True, slots=True)
class Preprocessed:
    """The preprocessed source of one object.

    :ivar compilation: its dependencies are all files that the preprocessor read.
    :ivar failure: the preprocessor's messages if it failed.
    """

    compilation: Compilation
    essence: Essence
    failure: tuple[str, ...] = ()


def originals_preprocessed(
    workspace: Workspace, objects: Sequence[ListedObject]
) -> dict[ListedObject, Preprocessed]:
    """Preprocess objects as the target has them; an object that is not made from C and cannot be
    made here is left out, with a note.

    :raises Refusal: ``original-does-not-compile``, ``disk-full``
    """
    found = {one: kept for one in objects if (kept := _load(workspace, one)) is not None}
    missing = [one for one in objects if one not in found]
    if missing:
        commands = announced(workspace, missing)
        for one in missing:
            if one not in commands:
                _leave_out(workspace, one)
        by_name = {one.name: one for one in missing}
        environment = kbuild.build_environment(workspace.environment)
        todo = list(commands.values())
        for made in side_by_side(todo, lambda each: preprocess(workspace.tree, environment, each)):
            if made.failure:
                what = "cannot be preprocessed"
                raise Refusal(
                    ORIGINAL_DOES_NOT_COMPILE, made.compilation.source, what, evidence=made.failure
                )
            one = by_name[made.compilation.object]
            found[one] = made
            _save(workspace, one, made)
    return found


def preprocess(root: Path, environment: Environment, compilation: Compilation) -> Preprocessed:
    """Run the preprocessor with the options of `compilation`, in a tree or its shadow."""
    with temporary_directory() as scratch:
        output, listed = Path(scratch, "text"), Path(scratch, "dependencies")
        finished = run(
            compilation.preprocessing(str(output), str(listed)), cwd=root, env=environment
        )
        if finished.status != 0:
            said = tuple(
                line.replace(f"{root}/", "")
                for line in finished.stderr.splitlines()[:EVIDENCE_LINES]
            )
            made = Compilation(compilation.object, compilation.source, compilation.steps, ())
            return Preprocessed(
                made, Essence(b"", frozenset()), said or (f"status {finished.status}",)
            )
        read = command.dependencies(listed.read_text(errors="surrogateescape"))
        made = Compilation(compilation.object, compilation.source, compilation.steps, read)
        return Preprocessed(made, essence(output.read_bytes(), compilation.steps[0]))


def _leave_out(workspace: Workspace, one: ListedObject) -> None:
    """Note that an object is left out because kbuild has no command for it."""
    if (workspace.tree / one.name).with_suffix(".c").exists():
        raise Refusal(ORIGINAL_DOES_NOT_COMPILE, one.name, "kbuild has no command that compiles it")
    note(f"{one.name} is left out: it is not built from C, and cannot be built here")


def _directory(workspace: Workspace) -> Path:
    return workspace.directory / "graph"


def _key(workspace: Workspace, one: ListedObject) -> str:
    return store.key(
        [RECIPE, workspace.name, workspace.target.arch.build.flags, kbuild.OBJTOOL, one.name]
    )


def _load(workspace: Workspace, one: ListedObject) -> Preprocessed | None:
    body = store.load_bytes(_directory(workspace), _key(workspace, one))
    if body is None:
        return None
    header, digest, *unmentioned = zlib.decompress(body).split(b"\n")
    return Preprocessed(
        store.compilation(header), Essence(bytes.fromhex(digest.decode()), frozenset(unmentioned))
    )


def _save(workspace: Workspace, one: ListedObject, made: Preprocessed) -> None:
    header = json.dumps(asdict(made.compilation)).encode()
    body = b"\n".join(
        [header, made.essence.digest.hex().encode(), *sorted(made.essence.unmentioned)]
    )
    store.save_bytes(_directory(workspace), _key(workspace, one), zlib.compress(body))


def announced(
    workspace: Workspace, objects: Sequence[ListedObject]
) -> dict[ListedObject, Compilation]:
    """Return the commands by which kbuild compiles `objects`, each with its source as its only
    dependency.

    kbuild makes the generated headers and sources that they need.  The result lacks objects that
    kbuild does not make with the compiler or cannot make here (``certs/`` needs the key that signs
    modules).
    """
    with temporary_directory() as answers, locked(workspace.directory / "kbuild.lock"):
        added = {"SUTURE_COMMANDS": str(answers)}
        run_kbuild(
            workspace, objects, keep_going=True, overrides=[kbuild.ANNOUNCE], environment=added
        )
        found = {}
        for one in objects:
            answer = answers / one.name.replace("/", "!")
            if answer.exists():
                found[one] = command.announced(one.name, answer.read_text(errors="surrogateescape"))
        return found
