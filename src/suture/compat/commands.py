# SPDX-License-Identifier: GPL-2.0-or-later
"""Installs and removes the commands: one file each, which starts this Suture.

A file of the same name that was not made here belongs to another program and stays.
"""

from __future__ import annotations

from pathlib import Path

from suture.errors import COMMAND_TAKEN, Refusal
from suture.host import deployment
from suture.host.files import read_bytes, write_atomic

MARK = "# Made by 'suture compat install'; 'suture compat remove' removes it."

COMMANDS = {
    "sbin/kpatch": "suture.compat.kpatch",
    "sbin/klp": "suture.compat.kgr klp",
    "sbin/kgr": "suture.compat.kgr kgr",
    "bin/kpatch-build": "suture.compat.kpatch_build",
}
"""Maps a file below the prefix, in the original's place, to the module it runs.

Root runs it, so ``python3 -I`` ignores environment variables and users' directories.
"""


def install(prefix: Path) -> list[Path]:
    """Install all commands, or none if another program has one of the names.

    :raises Refusal: ``command-taken``, ``file-unreadable``
    """
    paths = {prefix / file: module for file, module in COMMANDS.items()}
    for path in paths:
        if path.is_symlink() or (path.exists() and not _is_ours(path)):
            raise Refusal(
                COMMAND_TAKEN,
                str(path),
                "exists, and 'suture compat install' did not make it",
            )
    for path, module in paths.items():
        write_atomic(path, _text(module).encode(), mode=0o755)
    return list(paths)


def remove(prefix: Path) -> list[Path]:
    """Remove the commands that `install` made.  :raises Refusal: ``file-unreadable``"""
    ours = [
        path for path in (prefix / file for file in COMMANDS) if path.is_file() and _is_ours(path)
    ]
    for path in ours:
        path.unlink()
    return ours


def _text(module: str) -> str:
    return deployment.this().fill(f'#!/bin/sh\n{MARK}\nexec {{start}} {module} "$@"\n')


def _is_ours(path: Path) -> bool:
    return path.is_file() and MARK.encode() in read_bytes(path).split(b"\n")[:2]
