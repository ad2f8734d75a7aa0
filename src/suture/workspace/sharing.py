# SPDX-License-Identifier: GPL-2.0-or-later
"""Source files that several workspaces have in common are on disk once.

Of the 78,613 files of Debian's 6.1.176, 74,001 are the same in 6.1.192.  So a packaged source is
unpacked next to a neighbour, the workspace of another kernel of the series, and a file that is
equal there becomes a hard link to that one.  Nothing writes into a source file of a workspace:
patches are applied to copies, and kbuild only adds files.
"""

from __future__ import annotations

import os
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from suture.errors import SOURCE_DAMAGED, TOOL_MISSING, Refusal
from suture.host.files import cannot_write

SHARED_FORMAT = ".tar.xz"
"""That of Debian's sources; others are unpacked without sharing."""

PIECE = 1 << 20
"""Bytes read from a pipe at a time."""


def neighbour(directory: Path, release: str) -> Path | None:
    """Return the tree of the workspace that was made last for another kernel of the same series
    (``6.1.0-50-amd64`` and ``6.1.0-55-amd64``); None if there is none.

    :param directory: of the workspace that is to be made.
    """
    series = ".".join(release.split(".")[:2])
    others = (
        ready
        for ready in directory.parent.glob(f"{series}.*/ready")
        if ready.parent != directory and (ready / "tree/Makefile").exists()
    )
    newest = max(others, key=lambda ready: ready.stat().st_mtime, default=None)
    return None if newest is None else newest / "tree"


def unpack(archive: Path, tree: Path, other: Path) -> None:
    """Unpack a packaged source without its top directory; what is equal in another tree becomes a
    link to it.

    :param archive: of `SHARED_FORMAT`.
    :param tree: an empty directory.
    :raises Refusal: ``source-damaged``, ``tool-missing``, ``disk-full``, ``file-unreadable``
    """
    try:
        with (
            _decompressed(archive) as stream,
            tarfile.open(fileobj=stream, mode="r|", bufsize=PIECE) as members,
        ):
            for member in members:
                _unpack_member(members, member, tree, other)
    except (tarfile.TarError, EOFError) as error:
        raise Refusal(SOURCE_DAMAGED, str(archive), str(error)) from error
    except OSError as error:
        raise cannot_write(tree, error) from error


@contextmanager
def _decompressed(archive: Path) -> Iterator[IO[bytes]]:
    """Give the bytes of the tar; xz(1) decompresses on all processors meanwhile.

    :raises Refusal: ``source-damaged``, ``tool-missing``
    """
    command = ["xz", "--decompress", "--stdout", "--quiet", "--threads=0", str(archive)]
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    except FileNotFoundError as error:
        raise Refusal(TOOL_MISSING, "xz", "is not installed or not on the PATH") from error
    with process:
        assert process.stdout is not None
        try:
            yield process.stdout
            while process.stdout.read(PIECE):
                pass  # behind the last member
        except BaseException:
            process.kill()
            raise
        if process.wait() != 0:
            found = f"xz exited with status {process.returncode}"
            raise Refusal(SOURCE_DAMAGED, str(archive), found)


def _unpack_member(
    members: tarfile.TarFile, member: tarfile.TarInfo, tree: Path, other: Path
) -> None:
    """Unpack one member of the archive.

    :raises tarfile.TarError: for what a kernel's source does not have.
    """
    parts = PurePosixPath(member.name).parts[1:]
    if not parts:
        return
    name = "/".join(parts)
    path = os.path.join(tree, name)
    if ".." in parts or not (member.isdir() or member.issym() or member.isreg()):
        raise tarfile.ExtractError(f"{member.name} cannot be a file of a kernel's source")
    if member.isdir():
        os.makedirs(path, exist_ok=True)
    elif member.issym():
        os.symlink(member.linkname, path)
    else:
        content = members.extractfile(member)
        data = b"" if content is None else content.read()
        if not _linked(os.path.join(other, name), path, member.mode, data):
            _write(path, member, data)


def _linked(old: str, path: str, mode: int, data: bytes) -> bool:
    """Make `path` a link to `old` if that is such a file, and return whether."""
    try:
        status = os.lstat(old)
        if (status.st_size, status.st_mode) != (len(data), stat.S_IFREG | mode):
            return False
        with open(old, "rb", buffering=0) as file:
            if file.read(len(data) + 1) != data:
                return False
        os.link(old, path)
    except OSError:
        # There is none, it was removed meanwhile, has too many links or is on another disk.
        return False
    return True


def _write(path: str, member: tarfile.TarInfo, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
    os.chmod(path, member.mode)
    # make compares times: what kbuild makes has to be newer than its sources.
    os.utime(path, (member.mtime, member.mtime))
