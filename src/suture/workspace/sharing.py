# SPDX-License-Identifier: GPL-2.0-or-later
"""Source files that several workspaces have in common are on disk once.

Of the 78,613 files of Debian's 6.1.176, 74,001 are the same in 6.1.192.  So a packaged source is
unpacked next to a neighbour, the workspace of another kernel of the series, and a file that is
equal there becomes a hard link to that one.  Nothing writes into a source file of a workspace:
patches are applied to copies, and kbuild only adds files.
"""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from suture.errors import SOURCE_DAMAGED, TOOL_MISSING, Refusal
from suture.host import tar
from suture.host.files import cannot_write
from suture.host.tar import TarDamaged, TarMember
from suture.workspace import same_source

SHARED_FORMAT = ".tar.xz"
"""That of Debian's sources; others are unpacked without sharing."""

PIECE = 1 << 20
"""Bytes read from a pipe at a time."""


def neighbour(directory: Path, release: str, archive: Path | None = None) -> Path | None:
    """Return the tree of the workspace that was made last for another kernel of the same series
    (``6.1.0-50-amd64`` and ``6.1.0-55-amd64``); None if there is none.

    :param directory: of the workspace that is to be made.
    :param archive: its source; a workspace of the same one is preferred.
    """
    series = ".".join(release.split(".")[:2])
    others = (
        ready
        for ready in directory.parent.glob(f"{series}.*/ready")
        if ready.parent != directory and (ready / "tree/Makefile").exists()
    )

    def rank(ready: Path) -> tuple[bool, float]:
        same = archive is not None and same_source.is_from(archive, ready)
        return same, ready.stat().st_mtime

    newest = max(others, key=rank, default=None)
    return None if newest is None else newest / "tree"


@contextmanager
def held_neighbour(
    directory: Path, release: str, archive: Path | None = None
) -> Iterator[Path | None]:
    """Give the `neighbour`, and keep it from being removed (`suture.workspace.disk`) until the
    block ends."""
    tree = neighbour(directory, release, archive)
    with ExitStack() as stack:
        if tree is not None:
            try:
                lock = stack.enter_context((tree.parent.parent / "lock").open("rb"))
            except OSError:  # it was removed meanwhile
                tree = None
            else:
                # Others may take from it too; who removes it wants the lock alone.
                fcntl.flock(lock, fcntl.LOCK_SH)
        yield tree if tree is not None and (tree / "Makefile").exists() else None


def unpack(archive: Path, tree: Path, other: Path) -> set[str]:
    """Unpack a packaged source without its top directory, and return the files that became links:
    those that are equal in another tree.

    :param archive: of `SHARED_FORMAT`.
    :param tree: an empty directory.
    :raises Refusal: ``source-damaged``, ``tool-missing``, ``disk-full``, ``file-unreadable``
    """
    linked = set()
    try:
        with (
            _opened(other) as old,
            _opened(tree) as new,
            _decompressed(archive) as stream,
        ):
            for member in tar.members(stream):
                name = _name(member)
                if _unpack_member(name, member, new, old):
                    linked.add(name)
    except TarDamaged as error:
        raise Refusal(SOURCE_DAMAGED, str(archive), str(error)) from error
    except OSError as error:
        raise cannot_write(tree, error) from error
    return linked


def same_files(names: Iterable[str], tree: Path, other: Path) -> set[str]:
    """Return those of the names that are one file in both trees."""

    def is_one(name: str) -> bool:
        try:
            return os.path.samefile(f"{tree}/{name}", f"{other}/{name}")
        except OSError:
            return False

    return set(filter(is_one, names))


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    """Open a directory: names below it are looked up from there, and not from the root."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _decompressed(archive: Path) -> Iterator[IO[bytes]]:
    """Give the bytes of the tar; xz(1) decompresses on all processors meanwhile.

    :raises Refusal: ``source-damaged``, ``tool-missing``
    """
    command = ["xz", "--decompress", "--stdout", "--quiet", "--threads=0", str(archive)]
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, bufsize=PIECE
        )
    except FileNotFoundError as error:
        raise Refusal(TOOL_MISSING, "xz", "is not installed or not on the PATH") from error
    with process:
        assert process.stdout is not None
        with suppress(OSError):  # the host allows users no pipes of this size
            fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIECE)
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


def _name(member: TarMember) -> str:
    """Return the path of a member below the archive's top directory."""
    return member.path.removeprefix("./").partition("/")[2]


def _unpack_member(name: str, member: TarMember, new: int, old: int) -> bool:
    """Unpack one member of the archive, and return whether it became a link.

    :param new: the open tree; `old`: the one to share with.
    :raises TarDamaged: for what a kernel's source does not have.
    """
    if _leads_away(name) or member.kind not in (tar.FILE, tar.DIRECTORY, tar.SYMBOLIC_LINK):
        raise TarDamaged(f"{member.path} cannot be a file of a kernel's source")
    if member.kind == tar.DIRECTORY:
        if name:
            os.mkdir(name, dir_fd=new)
    elif member.kind == tar.SYMBOLIC_LINK:
        os.symlink(member.link, name, dir_fd=new)
    else:
        if _linked(name, member.mode, member.content, new, old):
            return True
        _write(name, member, new)
    return False


def _leads_away(name: str) -> bool:
    return name.startswith("/") or ".." in name.split("/")


def _linked(name: str, mode: int, data: bytes, new: int, old: int) -> bool:
    """Make `name` in the new tree a link to that in the old one if that is such a file, and return
    whether."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=old)
        try:
            status = os.fstat(file)
            if (status.st_size, status.st_mode) != (len(data), stat.S_IFREG | mode):
                return False
            if os.read(file, len(data) + 1) != data:
                return False
        finally:
            os.close(file)
        os.link(name, name, src_dir_fd=old, dst_dir_fd=new)
    except OSError:
        # There is none, it was removed meanwhile, has too many links or is on another disk.
        return False
    return True


def _write(name: str, member: TarMember, new: int) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=new)
    with open(descriptor, "wb") as file:
        file.write(member.content)
        os.fchmod(descriptor, member.mode)
    # make compares times: what kbuild makes has to be newer than its sources.
    os.utime(name, (member.time, member.time), dir_fd=new)
