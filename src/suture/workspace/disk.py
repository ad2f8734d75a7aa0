# SPDX-License-Identifier: GPL-2.0-or-later
"""What kernels take on disk, and how to get it back.

A kernel that was fetched has its parts in ``kernels/RELEASE/VERSION``, and the workspaces that were
prepared for it.  All of it is made again when it is needed, so it can be removed at any time but
while a build is under way.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from suture.errors import KERNEL_IN_USE, Refusal
from suture.host.files import TEMPORARY, cannot_write
from suture.host.paths import cache
from suture.host.progress import step
from suture.kernel.release import Target
from suture.sources import fetched, find, versions

_LOCKS = ("lock", "kbuild.lock")
"""What a build holds in a workspace while it prepares and compiles."""

_RELEASE = re.compile(r"^(\d+\.\d+)\.\S*?-(?:(rt|cloud)-)?(\w+)$")
"""Series, feature set and architecture: 6.1, cloud and amd64 of ``6.1.0-56-cloud-amd64``."""


@dataclass(frozen=True, slots=True)
class KeptKernel:
    """A kernel in the cache.

    :ivar directory: its parts.
    :ivar workspaces: the prepared trees for its release.
    :ivar parts_size: bytes on disk; `workspaces_size` too.
    """

    release: str
    version: str
    directory: Path
    workspaces: tuple[Path, ...]
    parts_size: int
    workspaces_size: int

    @property
    def size(self) -> int:
        """Bytes on disk in all."""
        return self.parts_size + self.workspaces_size


def kept() -> tuple[KeptKernel, ...]:
    """Return the kernels in the cache, newest first; not those of a shared one that this user may
    only read.

    The workspaces of a release count with its newest version: they are not told apart by name.
    """
    ours = cache() / "kernels"
    return tuple(_kept(one) for one in fetched() if one.vmlinux.is_relative_to(ours))


def remove(release: str, version: str | None = None) -> KeptKernel:
    """Remove a kernel and its workspaces, and return what it was.

    :raises Refusal: ``kernel-not-fetched``, ``kernel-in-use``, ``file-unreadable``
    """
    found = find(release, version)
    if not found.vmlinux.is_relative_to(cache() / "kernels"):
        refused = OSError(errno.EACCES, "it is in a shared cache that this user may only read")
        raise cannot_write(found.vmlinux.parent, refused)
    one = _kept(found)
    with step("Removing", f"{one.release} {one.version}"), _unused(one):
        for directory in (*one.workspaces, one.directory):
            _removed(directory)
    return one


def _kept(target: Target) -> KeptKernel:
    is_newest = find(target.release).version == target.version
    workspaces = workspaces_of(target.release) if is_newest else ()
    directory = target.vmlinux.parent
    return KeptKernel(
        target.release,
        target.version,
        directory,
        workspaces,
        size_on_disk(directory),
        sum(map(size_on_disk, workspaces)),
    )


def superfluous(kernels: Sequence[KeptKernel], keep: int) -> list[KeptKernel]:
    """Return the kernels besides the newest ones of each series and flavour.

    :param keep: how many of each stay; with 1, the first of 6.1.0-50-amd64, 6.1.0-56-amd64 and
        6.1.0-56-cloud-amd64 goes.
    """
    ordered = sorted(kernels, key=lambda one: versions.key(one.version), reverse=True)
    by_kind = sorted(ordered, key=lambda one: _kind(one.release))
    groups = (list(group) for _, group in groupby(by_kind, key=lambda one: _kind(one.release)))
    return [one for group in groups for one in group[keep:]]


def packages() -> tuple[Path, ...]:
    """Return the packages that were downloaded; what needs one again downloads it again."""
    found = (cache() / "packages").glob("*")
    # ".lock", and ".part-*" of a download under way, stay.
    return tuple(sorted(path for path in found if not path.name.startswith(".")))


def remove_packages() -> int:
    """Remove the downloaded packages, and return how many bytes they took."""
    found = packages()
    size = sum(map(size_on_disk, found))
    for path in found:
        path.unlink(missing_ok=True)
    return size


def workspaces_of(release: str) -> tuple[Path, ...]:
    """Return the directories of the workspaces for a release."""
    # "6.1.0-50-amd64-917e04658cb2": what follows the release is a digest.
    found = (cache() / "workspaces").glob(f"{release}-*")
    return tuple(sorted(path for path in found if _is_digest(path.name[len(release) + 1 :])))


def size_on_disk(path: Path) -> int:
    """Return the bytes that a file, or a directory with all below it, takes on disk.

    Of a file that workspaces share (`suture.workspace.sharing`), each has its part.
    """
    if not path.is_dir() or path.is_symlink():
        return path.lstat().st_blocks * 512 if os.path.lexists(path) else 0
    return sum(map(_blocks, _below(path))) * 512


def _below(directory: Path) -> Iterator[os.DirEntry[str]]:
    pending = [os.fspath(directory)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                yield entry


def _blocks(entry: os.DirEntry[str]) -> int:
    try:
        status = entry.stat(follow_symlinks=False)
        return status.st_blocks // status.st_nlink if entry.is_file() else status.st_blocks
    except FileNotFoundError:  # a build removes its temporary files
        return 0


def _is_digest(text: str) -> bool:
    return re.fullmatch("[0-9a-f]{12}", text) is not None


def _kind(release: str) -> tuple[str, ...]:
    """Return what is the same for the kernels that replace each other: series and flavour."""
    read = _RELEASE.match(release)
    return tuple(part or "" for part in read.groups()) if read else (release,)


@contextmanager
def _unused(kernel: KeptKernel) -> Iterator[None]:
    """Hold the locks that a build takes.

    :raises Refusal: ``kernel-in-use``
    """
    paths = [workspace / name for workspace in kernel.workspaces for name in _LOCKS]
    with ExitStack() as stack:
        for path in paths:
            if not path.exists():
                continue
            held = stack.enter_context(path.open("rb"))
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                found = f"a build for it is under way in {path.parent}"
                raise Refusal(KERNEL_IN_USE, kernel.release, found) from error
        yield


def _removed(directory: Path) -> None:
    """Remove a directory; first its name, so that what is half removed is not taken for whole."""
    gone = directory.with_name(f"{TEMPORARY}{os.getpid()}-{directory.name}")
    try:
        directory.rename(gone)
        shutil.rmtree(gone)
    except FileNotFoundError:
        return
    except OSError as error:
        raise cannot_write(directory, error) from error
