# SPDX-License-Identifier: GPL-2.0-or-later
"""Parts of a neighbour's index of words that are right for another tree too.

Files that are the same in two workspaces are one file on disk (`suture.workspace.sharing`).  What
the neighbour's index says of such a file is true as long as it is as old and as large as the index
has it.  So a part of that index becomes a hard link, and the words of the other files get parts of
their own, which come later and count.  What such a part says of files that are not shared is not
believed: those are in a later part, or not as they were.

Of 6.1.176's 84 MB of words, all but 9 MB are those of 6.1.187.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from suture.workspace import words
from suture.workspace.words import Stamp

WORTH_SHARING = 2
"""Of a part, one byte of so many has to be shared; an index that is made beside another, time and
again, would have ever more parts otherwise."""


def link_parts(tree: Path, listed: Mapping[str, Stamp], other: Path, into: Path) -> frozenset[str]:
    """Link the parts of a neighbour's index that can be used, and return the files of the tree of
    which they have the words.

    :param listed: the files of the tree.
    :param other: the directory of the neighbour's workspace, which must not be removed meanwhile.
    :param into: the index that is being made, empty.
    """
    try:
        theirs = words.parts(words.place(other))
    except (OSError, ValueError):  # it has none, or a damaged one
        return frozenset()
    owner = words.owners(theirs)
    found: set[str] = set()
    number = 0
    for part in theirs:
        files = {
            path
            for path, stamp in part.stamps.items()
            if owner[path] is part
            and listed.get(path) == stamp
            and _is_one(f"{tree}/{path}", f"{other}/ready/tree/{path}")
        }
        shared = sum(part.stamps[path][0] for path in files)
        if shared * WORTH_SHARING > sum(size for size, _ in part.stamps.values()):
            # Another file system, or too many links: this part's files are indexed anew.
            with suppress(OSError):
                os.link(part.path, into / f"{number:03}")
                found |= files
                number += 1
    return frozenset(found)


def _is_one(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False
