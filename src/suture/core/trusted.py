# SPDX-License-Identifier: GPL-2.0-or-later
"""Directories and files that root alone can have put there, and writing them so that they are
wholly there or not.

A path is walked one component at a time, each opened relative to the one before and never through a
symbolic link (``openat(2)``, ``O_NOFOLLOW``); what was opened is what is looked at, so that nothing
can be exchanged between the look and the use.  Every component has to belong to `OWNER` and be
writable by nobody else.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from suture.errors import FILE_UNREADABLE, PATH_UNTRUSTED, STORE_UNWRITABLE, Refusal
from suture.host.files import TEMPORARY

LARGEST = 64 << 20
"""Bytes of a file that is read; no live patch is near that."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Directory:
    """An open directory that only its owner can change.  Use it as a context manager."""

    def __init__(self, descriptor: int, path: Path, owner: int) -> None:
        self._descriptor = descriptor
        self._owner = owner
        self.path = path

    def __enter__(self) -> Directory:
        return self

    def __exit__(self, *unused: object) -> None:
        os.close(self._descriptor)

    def names(self) -> list[str]:
        """The names in the directory."""
        return sorted(os.listdir(self._descriptor))

    def is_directory(self, name: str) -> bool:
        """Whether `name` is there and is a directory, not a link to one."""
        try:
            return stat.S_ISDIR(
                os.stat(name, dir_fd=self._descriptor, follow_symlinks=False).st_mode
            )
        except FileNotFoundError:
            return False

    def open(self, name: str, *, make: bool = False) -> Directory:
        """A directory in this one.

        :raises FileNotFoundError:
        :raises Refusal: ``path-untrusted``, ``store-unwritable``
        """
        path = self.path / name
        if make:
            with unwritable(path), suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=self._descriptor)
                os.fsync(self._descriptor)
        descriptor = _open(name, _DIRECTORY, path, self._descriptor)
        return _checked(Directory(descriptor, path, self._owner))

    def read(self, name: str) -> bytes:
        """A file's content.

        :raises FileNotFoundError:
        :raises Refusal: ``path-untrusted``, ``file-unreadable``
        """
        path = self.path / name
        descriptor = _open(name, _FILE, path, self._descriptor)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise Refusal(PATH_UNTRUSTED, str(path), "is not a regular file")
            _check(status, path, self._owner)
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read(LARGEST + 1)
        except OSError as error:
            raise Refusal(FILE_UNREADABLE, str(path), error.strerror or str(error)) from error
        finally:
            os.close(descriptor)
        if len(content) > LARGEST:
            raise Refusal(FILE_UNREADABLE, str(path), f"is larger than {LARGEST >> 20} MiB")
        return content

    def check(self, name: str) -> None:
        """Check a file that is run from here, and not read.

        :raises Refusal: ``path-untrusted``
        """
        status = os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
        _check(status, self.path / name, self._owner)

    def write(self, name: str, content: bytes, *, mode: int = 0o644) -> None:
        """Put a file there so that, whatever happens, its name stands for the old content or all of
        the new; when this returns, the new is on the disk.

        :raises Refusal: ``store-unwritable``
        """
        temporary = f"{TEMPORARY}{os.urandom(8).hex()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with unwritable(self.path / name):
            descriptor = os.open(temporary, flags, 0o600, dir_fd=self._descriptor)
            try:
                os.fchmod(descriptor, mode)
                left = memoryview(content)
                while left:
                    left = left[os.write(descriptor, left) :]
                os.fsync(descriptor)
                os.rename(temporary, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=self._descriptor)
                raise
            finally:
                os.close(descriptor)
            os.fsync(self._descriptor)

    def remove(self, name: str) -> None:
        """Take a file away, if it is there, so that it stays away.

        :raises Refusal: ``store-unwritable``
        """
        with unwritable(self.path / name):
            try:
                os.unlink(name, dir_fd=self._descriptor)
            except FileNotFoundError:
                return
            os.fsync(self._descriptor)

    def remove_directory(self, name: str) -> None:
        """Remove an empty directory.

        :raises Refusal: ``store-unwritable``, also where it is not empty
        """
        with unwritable(self.path / name):
            os.rmdir(name, dir_fd=self._descriptor)
            os.fsync(self._descriptor)


def open_directory(
    path: Path, *, anchor: Path = Path("/"), owner: int = 0, make: bool = False
) -> Directory:
    """A directory by its whole path, every component of it checked.

    :param path: absolute, below `anchor`.
    :param anchor: where the check begins; what is above is believed.
    :param owner: whom all of it has to belong to.
    :param make: make the last component where it is not there.
    :raises FileNotFoundError:
    :raises Refusal: ``path-untrusted``, ``store-unwritable``
    """
    found = _checked(Directory(os.open(anchor, _DIRECTORY), anchor, owner))
    parts = path.relative_to(anchor).parts
    for number, name in enumerate(parts, start=1):
        with found as above:
            found = above.open(name, make=make and number == len(parts))
    return found


@contextmanager
def unwritable(path: Path) -> Iterator[None]:
    """Turn what the system says to a write into a refusal.  :raises Refusal:
    ``store-unwritable``"""
    try:
        yield
    except OSError as error:
        raise Refusal(STORE_UNWRITABLE, str(path), error.strerror or str(error)) from error


def _open(name: str, flags: int, path: Path, directory: int) -> int:
    try:
        return os.open(name, flags, dir_fd=directory)
    except FileNotFoundError:
        raise
    except OSError as error:
        # open(2): ELOOP is what O_NOFOLLOW says to a link, ENOTDIR what O_DIRECTORY says to it.
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise Refusal(
                PATH_UNTRUSTED, str(path), "is a symbolic link, or not of the expected kind"
            ) from error
        raise Refusal(FILE_UNREADABLE, str(path), error.strerror or str(error)) from error


def _checked(directory: Directory) -> Directory:
    try:
        _check(os.fstat(directory._descriptor), directory.path, directory._owner)
    except BaseException:
        directory.__exit__()
        raise
    return directory


def _check(status: os.stat_result, path: Path, owner: int) -> None:
    if status.st_uid != owner:
        raise Refusal(
            PATH_UNTRUSTED, str(path), f"belongs to user {status.st_uid}, not to user {owner}"
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Refusal(
            PATH_UNTRUSTED,
            str(path),
            f"can be written by others (mode {stat.S_IMODE(status.st_mode):04o})",
        )
