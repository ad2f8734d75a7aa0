# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of this host for a guest that has busybox alone."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

DIRECTORY = "/tools"


def files(names: Sequence[str]) -> dict[str, bytes]:
    """Path in the guest -> content: each program in `DIRECTORY`, and the libraries that it needs
    where it looks."""
    found: dict[str, bytes] = {}
    for name in names:
        path = shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin")
        assert path is not None, name
        found[f"{DIRECTORY}/{name}"] = Path(path).read_bytes()
        listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
        for library in re.findall(r"(/\S+) \(0x", listed):
            found[library] = Path(library).read_bytes()
    return found


def static(source: str, directory: Path) -> bytes:
    """A program compiled from C that needs nothing beside it."""
    (directory / "program.c").write_text(source)
    subprocess.run(
        ["gcc", "-static", "-O1", "-o", "program", "program.c"], cwd=directory, check=True
    )
    return (directory / "program").read_bytes()
