# SPDX-License-Identifier: GPL-2.0-or-later
"""Inputs that are read only once: what comes through a pipe, or from another machine.

``suture build <(git show)`` names a pipe, ``/dev/fd/63``; so may a path made by ``mkfifo``.  An
input is read several times: to recognise it, to work with it, for its digest, for each kernel.  So
its contents are kept for the time of a command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Hashable, Iterator
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

STANDARD_INPUT = "standard input"

_kept: ContextVar[dict[Hashable, bytes] | None] = ContextVar("kept", default=None)


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
    # A pipe is known by its inode, whatever its path is.
    return once((status.st_dev, status.st_ino), lambda: _read_pipe(path))


def once(identity: Hashable, read: Callable[[], bytes]) -> bytes:
    """Return what `read` gives; inside a block of `kept`, it is called once for each input.

    :param identity: what tells this input from others.
    """
    known = _kept.get()
    if known is None:
        return read()
    if identity not in known:
        known[identity] = read()
    return known[identity]


def standard_input() -> bytes:
    """Return all that comes on standard input.

    :raises Refusal: ``file-unreadable`` for a terminal, for a closed input and for what does not
        end
    """
    return once(STANDARD_INPUT, _read_standard_input)


def _read_standard_input() -> bytes:
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        is_closed = sys.stdin is None or sys.stdin.closed
        raise Refusal(
            FILE_UNREADABLE,
            STANDARD_INPUT,
            "is closed" if is_closed else "is a terminal",
            why="'-' stands for what another command or a file gives.",
            remedy="Run 'git show | suture build -' or 'suture build - <fix.patch'.",
        )
    with step("Reading", STANDARD_INPUT):
        return _read(sys.stdin.fileno(), STANDARD_INPUT)


def _read_pipe(path: Path) -> bytes:
    """Wait for a writer, and read all that comes."""
    with step("Reading a pipe", str(path)), path.open("rb", buffering=0) as pipe:
        return _read(pipe.fileno(), str(path))


def _read(descriptor: int, name: str) -> bytes:
    data = bytearray()
    while chunk := os.read(descriptor, _CHUNK):
        data += chunk
        if len(data) > LARGEST:
            raise Refusal(
                FILE_UNREADABLE,
                name,
                f"gives more than {LARGEST >> 20} MiB",
                why="Suture keeps what comes through a pipe in memory.",
                remedy="Give a file.",
            )
    return bytes(data)


def plain_name(path: Path) -> str:
    """Return the name of a file or a directory behind a path; `NAMELESS` for a pipe without one."""
    name = path.resolve().name
    return NAMELESS if name.startswith("pipe:[") else name
