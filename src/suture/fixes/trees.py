# SPDX-License-Identifier: GPL-2.0-or-later
"""The files that differ between two packed sources.

Both are unpacked side by side, in memory: a file waits for its namesake, which is rarely more than
some files behind, since both archives are packed in the same order.  Unpacking both to a disk takes
three times as long, and 3 GB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import IO

from suture.errors import SOURCE_DAMAGED, Refusal
from suture.host import tar
from suture.host.run import streamed
from suture.host.tar import TarDamaged

_UNPACKERS = {
    ".xz": ("xz", "-dcqT0"),
    ".gz": ("gzip", "-dcq"),
    ".bz2": ("bzip2", "-dcq"),
    ".zst": ("zstd", "-dcq"),
}
"""xz(1) unpacks the blocks that packaged sources are made of side by side."""

Wanted = Callable[[str], bool]
"""Whether the content of a file is wanted, by its path in the tree."""


@dataclass(frozen=True, slots=True)
class FileVersions:
    """A file that differs.

    :ivar path: in the tree.
    :ivar old: its content in the first source; None where it is only in the second.
    :ivar new: its content in the second; None where that does not have it any more.
    """

    path: str
    old: bytes | None
    new: bytes | None


def differing(old: Path, new: Path, wanted: Wanted) -> Iterator[FileVersions]:
    """Yield the files that differ between two sources.

    :raises Refusal: ``source-damaged``, ``tool-missing``
    """
    waiting: tuple[dict[str, bytes], dict[str, bytes]] = ({}, {})
    for pair in zip_longest(_files(old, wanted), _files(new, wanted)):
        for side, one in enumerate(pair):
            if one is None:
                continue
            path, content = one
            other = waiting[1 - side].pop(path, None)
            if other is None:
                waiting[side][path] = content
            elif other != content:
                before, after = (content, other) if side == 0 else (other, content)
                yield FileVersions(path, before, after)
    for path, content in waiting[0].items():
        yield FileVersions(path, content, None)
    for path, content in waiting[1].items():
        yield FileVersions(path, None, content)


def _files(archive: Path, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of the files of an archive, without its top directory.

    :raises Refusal: ``source-damaged``, ``tool-missing``
    """
    with _unpacked(archive) as stream:
        try:
            for member in tar.members(stream):
                path = member.path.partition("/")[2]
                if member.kind == tar.FILE and wanted(path):
                    yield path, member.content
        except TarDamaged as error:
            found = f"it cannot be unpacked ({error})"
            raise Refusal(SOURCE_DAMAGED, str(archive), found) from error


def _unpacked(archive: Path) -> AbstractContextManager[IO[bytes]]:
    """Open an archive, through the program that unpacks it."""
    command = _UNPACKERS.get(archive.suffix)
    return streamed([*command, archive]) if command else archive.open("rb")
