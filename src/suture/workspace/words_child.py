# SPDX-License-Identifier: GPL-2.0-or-later
"""The index of a tree's words, made in a process of its own: ``python -m
suture.workspace.words_child TREE ARCHITECTURE DIRECTORY [NEIGHBOUR]``.

It takes a minute of processor time, with a process on each core; beside a neighbour of the same
series, a few seconds.  A lock beside the directory is held meanwhile; a process that comes later
waits, and finds the index there.
"""

from __future__ import annotations

import shutil
import sys
from functools import partial
from pathlib import Path

from suture.errors import Refusal
from suture.host.files import locked, new_directory, remove_unfinished
from suture.host.side_by_side import Job, side_by_side, workers
from suture.workspace import words
from suture.workspace.shared_words import link_parts

MEMORY = 300 << 20
"""Bytes that making a part takes."""


def make(tree: Path, architecture: str, directory: Path, other: Path | None = None) -> None:
    """Make an index, if there is none that can be read.

    :param other: the directory of a workspace that shares files with this one, and must not be
        removed meanwhile.
    :raises OSError: the tree is gone, or a file of it.
    :raises Refusal: ``disk-full``
    """
    if other is not None and (lock := words.place(other).with_name("lock")).exists():
        with locked(lock):  # its index may just be in the making
            pass
    with locked(directory.with_name("lock")):
        if words.is_readable(directory):
            return
        remove_unfinished(directory.parent)
        shutil.rmtree(directory, ignore_errors=True)
        with new_directory(directory) as work:
            _make(tree, architecture, work, other)


def _make(tree: Path, architecture: str, work: Path, other: Path | None) -> None:
    listed = dict(words.files(tree, architecture))
    shared = link_parts(tree, listed, other, work) if other else frozenset()
    first = sum(1 for _ in work.iterdir())
    shares = words.shares(one for one in listed.items() if one[0] not in shared)
    jobs = [
        Job(f"part {number}", partial(_part, tree, share, work / f"{number:03}"))
        for number, share in enumerate(shares, first)
    ]
    for _, failed in side_by_side(jobs, workers(MEMORY)):
        if failed is not None:
            raise OSError(failed)


def _part(tree: Path, share: words.Share, path: Path) -> str | None:
    """Make a part, and return why it cannot be made."""
    try:
        path.write_bytes(words.part_contents(tree, share))
    except OSError as error:
        return str(error)
    return None


if __name__ == "__main__":
    try:
        make(Path(sys.argv[1]), sys.argv[2], *map(Path, sys.argv[3:]))
    except (OSError, Refusal) as error:
        sys.exit(str(error))
