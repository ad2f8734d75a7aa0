# SPDX-License-Identifier: GPL-2.0-or-later
"""What is looked up in a whole tree, made once for each workspace: the index of its words, and the
list of its objects (`suture.workspace.objects`).

Both are made in the background when a workspace has been prepared: ``python -m
suture.workspace.lookups words|objects``, with the pickled workspace on standard input.  A build
that needs one sooner waits, and one that finds none makes it.
"""

from __future__ import annotations

import os
import pickle
import sys
from contextlib import suppress

from suture.errors import WORKSPACE_FAILED, Refusal
from suture.host.progress import step
from suture.host.run import check
from suture.workspace import words
from suture.workspace.objects import list_in_background
from suture.workspace.prepare import IN_BACKGROUND, Workspace
from suture.workspace.sharing import held_neighbour
from suture.workspace.words import WordIndex
from suture.workspace.words_child import make


def word_index(workspace: Workspace) -> WordIndex:
    """Return the index of the words of a workspace's tree; it is made if there is none.

    :raises Refusal: ``workspace-failed``, ``disk-full``
    """
    architecture = workspace.environment["SRCARCH"]
    directory = words.place(workspace.directory)
    with suppress(OSError, ValueError):
        return WordIndex(workspace.tree, architecture, directory)
    command = [sys.executable, "-m", "suture.workspace.words_child"]
    command += [str(workspace.tree), architecture, str(directory)]
    release = workspace.target.release
    with (
        step("Indexing the words of the source", release),
        held_neighbour(workspace.directory, release) as other,
    ):
        beside = [] if other is None else [str(other.parent.parent)]
        check([*command, *beside], where=release, kind=WORKSPACE_FAILED)
    return WordIndex(workspace.tree, architecture, directory)


def _look_up(what: str, workspace: Workspace) -> None:
    if what == "objects":
        list_in_background(workspace)
    else:
        architecture = workspace.environment["SRCARCH"]
        with held_neighbour(workspace.directory, workspace.target.release) as other:
            beside = None if other is None else other.parent.parent
            make(workspace.tree, architecture, words.place(workspace.directory), beside)


if __name__ == "__main__":
    os.nice(IN_BACKGROUND)
    # Nobody listens; whoever needs it makes it again, and says why that fails.
    with suppress(OSError, Refusal):
        _look_up(sys.argv[1], pickle.load(sys.stdin.buffer))
