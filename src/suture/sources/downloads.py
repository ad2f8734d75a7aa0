# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages between their download and the end of their use.

They stay after a refusal, so that the next run need not download them again, and go when what was
unpacked from them is complete: they would double what a kernel takes on disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from suture.host import files
from suture.host.paths import cache


def directory() -> Path:
    """Return the directory of downloads."""
    return cache() / "packages"


@contextmanager
def held() -> Iterator[None]:
    """Hold the downloads: nobody drops one between its download and its unpacking.

    Two kernels of one version have one source package.
    """
    with files.locked(directory() / ".unpacking.lock"):
        yield


def drop(paths: Sequence[Path]) -> None:
    """Remove packages that have been unpacked."""
    if not paths:
        return
    with held():
        for path in paths:
            path.unlink(missing_ok=True)
