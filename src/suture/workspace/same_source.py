# SPDX-License-Identifier: GPL-2.0-or-later
"""A whole source that a neighbour has unpacked from the very same archive.

The flavours of a version are built from one source package, and their targets have one file of it
on disk (`suture.sources.shared`).  Decompressing it takes most of the time of preparing the second.

1. When a source has been unpacked, `remember` notes what there is, and keeps a link to the archive.
2. `link_all` makes links to all of it in another tree, if the archive is that file, and nothing of
   it has changed since.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from suture.host.files import write_atomic

ARCHIVE = "archive"
"""A link to the source as delivered, in a workspace."""

DELIVERED = "delivered"
"""What was unpacked from it: for each path its mode, and of a file size and time."""

_Entry = tuple[str, int, int, int]
"""Path from the top, mode with the type, size in bytes, nanoseconds of the last change."""


class _OtherThanDelivered(Exception):
    """A file is not as it was delivered."""


def remember(archive: Path, tree: Path, work: Path) -> None:
    """Note what a tree has that was just unpacked, for `link_all`.

    :param work: the directory of the workspace that is being made.
    :raises Refusal: ``disk-full``
    """
    try:
        os.link(archive, work / ARCHIVE)
    except OSError:  # the archive is on another file system, or another user's
        return
    lines = (f"{mode:o} {size} {time} {path}\0" for path, mode, size, time in _below(tree))
    write_atomic(work / DELIVERED, "".join(lines).encode(errors="surrogateescape"))


def is_from(archive: Path, work: Path) -> bool:
    """Tell whether the source of a workspace was unpacked from this very file."""
    try:
        return archive.samefile(work / ARCHIVE)
    except OSError:
        return False


def link_all(archive: Path, tree: Path, work: Path) -> set[str] | None:
    """Fill a tree with links to the source of another workspace, and return the files.

    :param tree: an empty directory; it is empty afterwards too where None is returned.
    :param work: the directory of the other workspace.
    :return: None if that is of another archive, has changed, or cannot be linked to.
    """
    if not is_from(archive, work):
        return None
    try:
        return set(_linked(tree, work))
    except (OSError, ValueError, _OtherThanDelivered):
        shutil.rmtree(tree)
        tree.mkdir()
        return None


def _linked(tree: Path, work: Path) -> Iterator[str]:
    text = (work / DELIVERED).read_text(encoding="utf-8", errors="surrogateescape")
    for line in text.split("\0")[:-1]:
        mode, size, time, path = line.split(" ", 3)
        old, new = f"{work}/tree/{path}", f"{tree}/{path}"
        status = os.lstat(old)
        if status.st_mode != int(mode, 8):
            raise _OtherThanDelivered(path)
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(new)
        elif stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(old), new)
        elif (status.st_size, status.st_mtime_ns) != (int(size), int(time)):
            raise _OtherThanDelivered(path)
        else:
            os.link(old, new)
            yield path


def _below(tree: Path) -> Iterator[_Entry]:
    """Yield what is below a directory, each directory before what it has."""
    waiting = [""]
    while waiting:
        place = waiting.pop()
        with os.scandir(tree / place) as entries:
            for entry in entries:
                path = f"{place}{entry.name}"
                status = entry.stat(follow_symlinks=False)
                yield path, status.st_mode, status.st_size, status.st_mtime_ns
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{path}/")
