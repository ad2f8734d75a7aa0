# SPDX-License-Identifier: GPL-2.0-or-later
"""Which files, and each one's difference as a patch."""

from __future__ import annotations

import difflib
import random
import subprocess
from collections.abc import Container, Iterable, Sequence
from pathlib import Path

from suture.errors import KERNEL_NOT_OFFERED, Refusal
from suture.host.paths import cache
from suture.sources import apt, debian_suites
from suture.workspace import objects
from suture.workspace.prepare import Workspace

SOURCE = r"linux-source-\S+"


def newer_source(wanted: str, scratch: Path, suite: str | None = None) -> Path:
    """The tree to compare with: a directory, or the source package of a version, unpacked into
    `scratch`.

    :param suite: has the package, if this host's archives do not.
    :raises Refusal: ``kernel-not-offered``, ``package-corrupt``, ``package-untrusted``,
        ``suite-not-found``
    """
    if Path(wanted).is_dir():
        return Path(wanted)
    unpacked = scratch / f"source-{wanted}"
    if unpacked.exists():
        return unpacked
    archives = apt.HOST if suite is None else debian_suites.lists(suite).refreshed()
    offered = [package for package in apt.packages(SOURCE, archives) if package.version == wanted]
    if not offered:
        raise Refusal(
            KERNEL_NOT_OFFERED,
            wanted,
            "neither a directory nor the version of a linux-source package",
        )
    apt.download(offered[:1], cache() / "packages", archives)
    deb = cache() / "packages" / offered[0].file_name
    partial = scratch / "unpacking"
    partial.mkdir(parents=True, exist_ok=True)
    command = (
        f"dpkg-deb --fsys-tarfile {deb} | tar -xO ./usr/src/{offered[0].name}.tar.xz | "
        f"tar -xJ -C {partial} --strip-components=1 --wildcards '*.c'"
    )
    subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True)
    return partial.rename(unpacked)


def pick(workspace: Workspace, newer: Path, count: int, seed: int) -> list[str]:
    """`count` files that differ and that the target is built from, in an order that the seed
    decides.

    Of two counts with one seed, the smaller picks the first of the larger's.
    """
    built = objects.everything(workspace)
    candidates = sorted(path.removesuffix(".o") + ".c" for path in built.listed)
    return choose(
        [path for path in candidates if differs(workspace.tree, newer, path)], count, seed
    )


def choose(paths: Iterable[str], count: int, seed: int) -> list[str]:
    ordered = sorted(paths)
    return random.Random(seed).sample(ordered, len(ordered))[:count]


def differs(old: Path, new: Path, path: str) -> bool:
    try:
        return (old / path).read_bytes() != (new / path).read_bytes()
    except OSError:  # made by the build, or in one of the two only
        return False


def patch(old: Path, new: Path, path: str) -> bytes:
    before, after = ((tree / path).read_bytes().splitlines(keepends=True) for tree in (old, new))
    lines = difflib.diff_bytes(
        difflib.unified_diff, before, after, f"a/{path}".encode(), f"b/{path}".encode()
    )
    marked = (
        line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n"
        for line in lines
    )
    return b"".join(marked)


def name(path: str) -> str:
    """A file name for what belongs to a source file, and the name of its live patch where that is
    short enough."""
    return path.removesuffix(".c").replace("/", "_").replace("-", "_")


def unfinished(paths: Sequence[str], known: Container[str]) -> list[str]:
    return [path for path in paths if path not in known]
