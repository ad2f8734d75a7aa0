# SPDX-License-Identifier: GPL-2.0-or-later
"""Files and directories that are either complete or do not exist.

Everything is made under a temporary name beside its final place and renamed when complete.  A run
that is killed at any moment leaves nothing that a later one takes for complete, and two runs at the
same time do not disturb each other.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import NoReturn

from suture.errors import DISK_FULL, FILE_UNREADABLE, Refusal
from suture.host import pipes

GROUP = stat.S_IWGRP | stat.S_ISGID
"""The bits of a directory that a group shares: each of it may change it, and what is made in it
belongs to the group."""

TEMPORARY = ".part-"
"""What the names of unfinished files and directories begin with."""


def remove_unfinished(directory: Path) -> None:
    """Remove leftovers of a killed run from a directory.

    The caller holds the directory's lock, so that no other run is making it.
    """
    for leftover in directory.glob(f"{TEMPORARY}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def read_bytes(path: Path) -> bytes:
    """Read a file that a user or a package named, or a pipe (`suture.host.pipes`).

    :raises Refusal: ``file-unreadable``
    """
    try:
        piped = pipes.contents(path)
        return path.read_bytes() if piped is None else piped
    except OSError as error:
        raise Refusal(FILE_UNREADABLE, str(path), error.strerror or str(error)) from error


def paths_below(directory: Path) -> list[Path]:
    """Return everything below a directory, sorted; links to directories are not followed.

    :raises Refusal: ``file-unreadable``, also where another program changes it meanwhile
    """
    walked = walk(directory)
    return sorted(Path(parent, name) for parent, *named in walked for name in chain(*named))


def walk(directory: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk a directory as os.walk() does, which passes over what it cannot read.

    :raises Refusal: ``file-unreadable``
    """

    def refuse(error: OSError) -> NoReturn:
        found = f"cannot be read whole: {error.filename}: {error.strerror or error}"
        remedy = "Check its permissions, and that no other program is changing it."
        raise Refusal(FILE_UNREADABLE, str(directory), found, remedy=remedy) from error

    yield from os.walk(directory, onerror=refuse)


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Write `data` to `path` so that a reader sees the old content or all of the new, also after a
    power failure.

    :param durable: False if an empty or missing file is allowed after a power failure: the reader
        checks the content, and it can be made again.
    :raises Refusal: ``disk-full``, ``file-unreadable`` (the directory cannot be written)
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with signals_held():
            descriptor, temporary = tempfile.mkstemp(prefix=TEMPORARY, dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.rename(temporary, path)
        temporary = None
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def check_output(path: Path, *, makes_parents: bool = False) -> None:
    """Refuse early a path that `write_atomic` could not write or must not replace, such as
    ``/dev/null``.

    :param makes_parents: directories above it may be made; otherwise, as with compilers, a path in
        a directory that is missing is a slip.
    :raises Refusal: ``file-unreadable``
    """
    if path.exists() and not path.is_file():
        raise cannot_write(path, OSError(errno.EINVAL, "is not a regular file"))
    directory = path.absolute().parent
    if not makes_parents and not directory.exists():
        raise cannot_write(path, OSError(errno.ENOENT, f"there is no directory {directory}"))
    parent = next(parent for parent in path.absolute().parents if parent.exists())
    if not parent.is_dir():
        raise cannot_write(path, OSError(errno.ENOTDIR, f"{parent} is not a directory"))
    if not os.access(parent, os.W_OK | os.X_OK):
        raise cannot_write(path, OSError(errno.EACCES, f"the directory {parent} is not writable"))


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """Make a directory in the system's place for temporary files, by its real path; it is removed
    when the block ends."""
    work: Path | None = None
    try:
        with signals_held():
            work = Path(tempfile.mkdtemp(prefix="suture-")).resolve()
        yield work
    finally:
        with signals_held():
            if work is not None:
                shutil.rmtree(work, ignore_errors=True)


@contextmanager
def signals_held() -> Iterator[list[int]]:
    """Hold signals until the block ends, so that none interrupts between making something and
    recording that it must be removed.

    The block gets the list of signals that have arrived; a block that empties it has handled them.

    Blocking signals (pthread_sigmask(3)) would not work: another thread takes the signal, and
    Python raises its exception in the main thread.  In other threads none is raised.
    """
    if threading.current_thread() is not threading.main_thread():
        yield []
        return
    came: list[int] = []
    handled = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if callable(signal.getsignal(number))
    ]
    before = {
        number: signal.signal(number, lambda number, frame: came.append(number))
        for number in handled
    }
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for first in came[:1]:
            signal.raise_signal(first)


@contextmanager
def new_directory(final: Path) -> Iterator[Path]:
    """Make a directory to fill; it is renamed to `final` when the block ends without an exception,
    else removed.

    If another run has made `final` meanwhile, its result is kept and this one removed.
    """
    work: Path | None = None
    try:
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            with signals_held():
                work = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=final.parent))
        except OSError as error:
            raise cannot_write(final, error) from error
        is_shared = final.parent.stat().st_mode & GROUP == GROUP
        work.chmod(0o755 | GROUP if is_shared else 0o755)
        yield work
        if is_shared:
            _open_to_group(work)
        try:
            os.rename(work, final)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise cannot_write(final, error) from error
        raise
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)


def _open_to_group(directory: Path) -> None:
    """Let the group of a shared cache change and remove what was made, as far as its directories
    go: packages and archives are unpacked with modes of their own."""
    for parent, names, _ in os.walk(directory):
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink():
                path.chmod(stat.S_IMODE(path.stat().st_mode) | GROUP)


@contextmanager
def scratch_directory(parent: Path, prefix: str) -> Iterator[Path]:
    """Make a directory in `parent`; it is removed when the block ends.

    Leftovers of killed runs there are removed too; a directory in use is locked.
    """
    work: Path | None = None
    lock: int | None = None
    try:
        with locked(parent / ".lock"):
            for left in parent.iterdir():
                if left.is_dir() and (unused := _lock_unused(left)) is not None:
                    shutil.rmtree(left, ignore_errors=True)
                    os.close(unused)
            try:
                with signals_held():
                    work = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
            except OSError as error:
                raise cannot_write(parent, error) from error
            lock = _lock_unused(work)
        yield work
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _lock_unused(directory: Path) -> int | None:
    """Lock a directory that nobody has locked, and return the descriptor that holds the lock."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None  # its owner has removed it meanwhile
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` (made if need be).  The kernel drops it when the holder dies
    (flock(2))."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _opened_lock(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _opened_lock(path: Path) -> int:
    """Open a file to lock.  One that another user made can be locked without the right to write to
    it (flock(2)); only NFS wants that right."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except PermissionError:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def cannot_write(path: Path, error: OSError) -> Refusal:
    """Return the refusal for a failed write to `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Refusal(DISK_FULL, str(path), error.strerror or "no space left")
    return Refusal(
        FILE_UNREADABLE,
        str(path),
        error.strerror or str(error),
        why="The file or directory cannot be written.",
    )
