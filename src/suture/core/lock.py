# SPDX-License-Identifier: GPL-2.0-or-later
"""One at a time: whoever changes the running kernel's live patches holds a lock, and says in it who
they are."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from suture.core.running import ROOT, text
from suture.errors import ANOTHER_AT_WORK, FILE_UNREADABLE, Refusal
from suture.host import paths

POLL = 0.1
LONGEST = 200


@contextmanager
def held(doing: str, *, wait: float = 0, path: Path = paths.LOCK) -> Iterator[None]:
    """Hold the lock for the block.  The kernel drops it when the holder dies (flock(2)).

    The file is root's alone: whoever may open a file may lock it.

    :param doing: what for, one line, for those who come upon it.
    :param wait: seconds to wait for another holder.
    :raises Refusal: ``another-at-work``, ``file-unreadable``
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Refusal(FILE_UNREADABLE, str(path), error.strerror or str(error)) from error
    try:
        _take(descriptor, time.monotonic() + wait)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {doing}".encode()[:LONGEST], 0)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, until: float) -> None:
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < until:
                time.sleep(POLL)
                continue
        pid, _, doing = os.pread(descriptor, LONGEST, 0).decode(errors="replace").partition(" ")
        raise Refusal(
            ANOTHER_AT_WORK,
            f"process {pid}" if pid else "another process",
            doing or "holds the lock",
        )


def holder(path: Path = paths.LOCK, root: Path = ROOT) -> int | None:
    """The process that is at work, or None.  Everyone may ask, and asking takes no lock:
    ``proc_locks(5)``."""
    try:
        status = path.stat()
    except OSError:
        return None
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in text(root / "proc/locks").splitlines():
        words = line.split()
        if len(words) > 5 and words[1] == "FLOCK" and words[5] == place:
            return int(words[4])
    return None
