# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects of files that the patch does not change, found by the words in their source."""

from __future__ import annotations

from collections.abc import Collection

from suture.errors import CALLERS_TOO_MANY, WORKSPACE_FAILED, Refusal
from suture.host.progress import step
from suture.host.run import run
from suture.workspace import objects
from suture.workspace.compile import ObjectPair, unchanged_pairs
from suture.workspace.kbuild import clean_environment
from suture.workspace.prepare import Workspace

MOST = 64
"""Files that are compiled for one function's callers; who is called from more has too many callers
anyway."""

_NO_KERNEL = frozenset({"Documentation", "LICENSES", "arch", "samples", "scripts", "tools"})
_NO_MATCH = 1  # grep(1): nothing found


def mentioning(
    workspace: Workspace, words: Collection[str], without: Collection[str]
) -> tuple[ObjectPair, ...]:
    """Return the original objects of the C files that the target is built from and that contain one
    of `words`.

    :param without: source files to leave out.
    :raises Refusal: ``callers-too-many``, ``original-does-not-compile``, ``disk-full``,
        ``workspace-failed``
    """
    if not words:
        return ()
    shown = ", ".join(sorted(words)[:3])
    with step("Searching the source", shown):
        sources = [path for path in _search(workspace, words) if path not in without]
    listed = [
        one for path in sources if (one := objects.everything(workspace).of(path)) is not None
    ]
    if len(listed) > MOST:
        raise Refusal(
            CALLERS_TOO_MANY, shown, f"{len(listed)} files that the target builds mention it"
        )
    return unchanged_pairs(workspace, listed)


def _search(workspace: Workspace, words: Collection[str]) -> list[str]:
    tree = workspace.tree
    directories = sorted(
        entry.name for entry in tree.iterdir() if entry.is_dir() and entry.name not in _NO_KERNEL
    )
    patterns = [f"--regexp={word}" for word in sorted(words)]
    where = [*directories, f"arch/{workspace.environment['SRCARCH']}"]
    finished = run(
        ["grep", "-rIFwl", "--include=*.c", *patterns, "--", *where],
        cwd=tree,
        env=clean_environment(),
    )
    if finished.status > _NO_MATCH:
        raise Refusal(
            WORKSPACE_FAILED,
            str(tree),
            "cannot be searched",
            evidence=finished.stderr.splitlines()[-5:],
        )
    return sorted(finished.stdout.splitlines())
