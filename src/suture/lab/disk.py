# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks for guests: ext4 images, which users without root can make too."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from suture.host import files, run
from suture.host.packages import SEARCH_PATH

SCRATCH_NEEDED = 1 << 30
"""Bytes, for the unpacked system, its packages, and the image."""

MEMORY_DISK = Path("/dev/shm")


def ext4_command(tree: Path, to: Path, size: str) -> list[str | Path]:
    """Return the command that makes an ext4 file system of `size` with everything below `tree`."""
    # The lazily initialized parts would be written by a thread of the guest's kernel.
    options = "root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0"
    return [
        program("mke2fs"),
        "-q",
        "-F",
        "-t",
        "ext4",
        "-m",
        "0",
        "-E",
        options,
        "-d",
        tree,
        to,
        size,
    ]


def program(name: str) -> str:
    """Return the path of a program that a user's PATH may lack; its name if it is not found."""
    return shutil.which(name, path=SEARCH_PATH) or name


def as_root_would(command: Sequence[str | Path]) -> list[str | Path]:
    """Return the command as root would run it: a user other than root gets a user namespace in
    which files can have any owner."""
    if os.geteuid() == 0:
        return [*command]
    return [program("unshare"), "--map-root-user", "--map-auto", "--", *command]


def scratch_parent() -> Path | None:
    """Return a directory in memory if there is plenty; None for the usual place: a package tool
    waits until each file is on the disk."""
    try:
        plenty = shutil.disk_usage(MEMORY_DISK).free > 4 * SCRATCH_NEEDED
    except OSError:
        return None
    return MEMORY_DISK if plenty and os.access(MEMORY_DISK, os.W_OK) else None


def keep(made: Path, final: Path) -> None:
    """Copy a file to its final name, and keep it sparse."""
    partial = final.with_name(f"{files.TEMPORARY}{final.name}")
    try:
        run.check(["cp", "--sparse=always", made, partial])
        os.rename(partial, final)
    finally:
        partial.unlink(missing_ok=True)
