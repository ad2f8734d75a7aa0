# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects as the target has them: kbuild compiles them in the pristine tree, and they are kept."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from suture.errors import DISK_FULL, ORIGINAL_DOES_NOT_COMPILE, Refusal
from suture.host.files import locked, write_atomic
from suture.host.progress import step
from suture.host.run import EVIDENCE_LINES, Finished, run, says_disk_full
from suture.workspace import command, kbuild, store
from suture.workspace.kbuild import ListedObject
from suture.workspace.prepare import Workspace
from suture.workspace.store import Stored


def originals(workspace: Workspace, objects: Sequence[ListedObject]) -> tuple[Stored, ...]:
    """Return the original objects, in the given order.

    :raises Refusal: ``original-does-not-compile``, ``disk-full``
    """
    kept = {one: _load(workspace, one.name) for one in objects}
    missing = [one for one, stored in kept.items() if stored is None]
    if missing:
        with (
            step("Compiling the original", _summary(missing)),
            locked(workspace.directory / "kbuild.lock"),
        ):
            _make(workspace, missing)
            for one in missing:
                kept[one] = _collect(workspace, one.name)
    return tuple(stored for one in objects if (stored := kept[one]) is not None)


def _load(workspace: Workspace, name: str) -> Stored | None:
    return store.load(workspace.directory / "objects", _key(workspace, name))


def _key(workspace: Workspace, name: str) -> str:
    return store.key(
        ["original", workspace.name, workspace.target.arch.build.flags, kbuild.OBJTOOL, name]
    )


def _summary(objects: Sequence[ListedObject]) -> str:
    return os.path.normpath(objects[0].name) if len(objects) == 1 else f"{len(objects)} objects"


def run_kbuild(
    workspace: Workspace,
    objects: Sequence[ListedObject],
    *,
    keep_going: bool = False,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Make kbuild build objects, even if they exist.

    The caller holds the lock, so that no other process does the same.

    :param keep_going: build the other objects after one fails; the exit status does not show that.
    :param overrides: variables of kbuild to replace.
    :param environment: added to kbuild's.
    """
    tree, unfinished = workspace.tree, workspace.directory / "unfinished"
    if unfinished.exists():
        _remove_products(workspace)
    for one in objects:
        (tree / one.name).unlink(missing_ok=True)
        command.saved_in(tree, one.name).unlink(missing_ok=True)
    write_atomic(unfinished, b"")
    wrapper = workspace.directory / "objects.mk"
    text = kbuild.objects_makefile(objects, overrides, keep_going=keep_going)
    write_atomic(wrapper, text.encode())
    options = ("--keep-going",) if keep_going else ()
    try:
        return run(
            [*kbuild.objects_command(workspace.directory / "tree.lock", wrapper), *options],
            cwd=tree,
            env=kbuild.build_environment(workspace.environment) | dict(environment or {}),
        )
    finally:
        # make has ended, and has removed what it had half made; only where we were killed the mark
        # stays.
        unfinished.unlink(missing_ok=True)


def _make(workspace: Workspace, objects: Sequence[ListedObject]) -> None:
    finished = run_kbuild(workspace, objects)
    if finished.status != 0:
        names = [one.name for one in objects]
        failed = next(
            (name for name in names if not command.saved_in(workspace.tree, name).exists()),
            names[0],
        )
        output = (finished.stderr.strip() or finished.stdout.strip()).splitlines()
        raise Refusal(
            DISK_FULL if says_disk_full(output) else ORIGINAL_DOES_NOT_COMPILE,
            failed.removesuffix(".o") + ".c",
            f"make exited with status {finished.status}",
            evidence=output[-EVIDENCE_LINES:],
        )


def _remove_products(workspace: Workspace) -> None:
    """Remove all that kbuild made since the tree was prepared: a killed run may have left half of a
    generated header."""
    prepared = (workspace.tree.parent / "environment").stat().st_mtime_ns
    for parent, _, files in os.walk(workspace.tree):
        for file in files:
            path = Path(parent, file)
            if path.lstat().st_mtime_ns > prepared:
                path.unlink()


def _collect(workspace: Workspace, name: str) -> Stored:
    try:
        text = command.saved_in(workspace.tree, name).read_text(errors="surrogateescape")
        stored = Stored(command.parse(name, text), (workspace.tree / name).read_bytes())
    except (OSError, ValueError) as error:
        raise Refusal(
            ORIGINAL_DOES_NOT_COMPILE, name, f"kbuild left no object or no command: {error}"
        ) from error
    store.save(workspace.directory / "objects", _key(workspace, name), stored)
    return stored
