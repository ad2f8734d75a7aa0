# SPDX-License-Identifier: GPL-2.0-or-later
"""Inputs that come through a pipe, and can be read only once.

``suture build <(git show)`` names a pipe, ``/dev/fd/63``; so may a path made by ``mkfifo``.  An
input is read several times: to recognise it, to work with it, for its digest.  So its contents are
kept for the time of a command.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from stat import S_ISBLK, S_ISCHR, S_ISFIFO, S_ISSOCK

from suture.errors import FILE_UNREADABLE, Refusal
from suture.host.progress import step

LARGEST = 1 << 30
"""Bytes; a ``vmlinux`` with debug information has some 800 million."""

NAMELESS = "pipe"
"""What an input is called whose pipe has no name."""

_CHUNK = 1 << 20

Identity = tuple[int, int]
"""``st_dev`` and ``st_ino``."""

_kept: ContextVar[dict[Identity, bytes] | None] = ContextVar("kept", default=None)


@contextmanager
def kept() -> Iterator[None]:
    """For the time of the block, give what was read of a pipe to whoever reads it again."""
    if _kept.get() is not None:
        yield
        return
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def contents(path: Path) -> bytes | None:
    """Return the contents of a pipe, read to its end; None for a file or a directory.

    :raises OSError: there is nothing of that name
    :raises Refusal: ``file-unreadable`` for devices and sockets, and for what does not end
    """
    status = path.stat()
    mode = status.st_mode
    for is_kind, kind in (
        (S_ISCHR, "a character device"),
        (S_ISBLK, "a block device"),
        (S_ISSOCK, "a socket"),
    ):
        if is_kind(mode):
            raise Refusal(
                FILE_UNREADABLE,
                str(path),
                f"is {kind}",
                why="Suture reads files, directories and pipes.",
                remedy="Give a file, or a pipe, such as <(COMMAND) in a shell.",
            )
    if not S_ISFIFO(mode):
        return None
    known = _kept.get()
    identity = status.st_dev, status.st_ino
    if known is None:
        return _read(path)
    if identity not in known:
        known[identity] = _read(path)
    return known[identity]


def _read(path: Path) -> bytes:
    """Wait for a writer, and read all that comes."""
    with step("Reading a pipe", str(path)), path.open("rb", buffering=0) as pipe:
        data = bytearray()
        while chunk := os.read(pipe.fileno(), _CHUNK):
            data += chunk
            if len(data) > LARGEST:
                found = f"gives more than {LARGEST >> 20} MiB"
                raise Refusal(
                    FILE_UNREADABLE,
                    str(path),
                    found,
                    why="Suture keeps what comes through a pipe in memory.",
                    remedy="Give a file.",
                )
        return bytes(data)


def plain_name(path: Path) -> str:
    """Return the name of a file or a directory behind a path; `NAMELESS` for a pipe without one."""
    name = path.resolve().name
    return NAMELESS if name.startswith("pipe:[") else name
