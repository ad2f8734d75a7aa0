# SPDX-License-Identifier: GPL-2.0-or-later
"""Suture's Debian packages of the commit that is checked out, which several levels of tests use.

The same commit gives the same packages: the cache keeps those of the last few commits.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from scripts import deb
from suture.host import files, paths

KEPT = 4

NEWER = "9.9"

INIT = "usr/lib/python3/dist-packages/suture/__init__.py"

VERSION = r'(Version: |suture \(= |__version__ = "){}'
"""Where packages have it: in the control file, and in Suture's own code."""


def make(into: Path, *, checked: bool) -> None:
    """Write the packages to a directory.

    :param checked: make them anew, and let lintian look at them.
    """
    commit = deb.head().id
    if not commit:  # nobody knows whether a tree without git has changed
        deb.make(into, checked=checked)
        return
    kept = paths.cache() / "packaging" / "tested" / commit
    with files.locked(kept.parent / "lock"):
        if checked or not kept.is_dir():
            deb.make(into, checked=checked)
            _keep(into, kept)
        else:
            shutil.copytree(kept, into, dirs_exist_ok=True)


def _keep(made: Path, kept: Path) -> None:
    if not kept.is_dir():
        with tempfile.TemporaryDirectory(prefix=files.TEMPORARY, dir=kept.parent) as work:
            Path(shutil.copytree(made, Path(work, "made"))).rename(kept)
    commits = (path for path in kept.parent.iterdir() if path.is_dir())
    for older in sorted(commits, key=lambda path: path.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(older)


def repack(package: Path, into: Path) -> Path:
    """Make a copy of a package with a higher version, which Suture itself has too."""
    tree = into / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    own = package.name.split("_")[1]
    for path in (tree / "DEBIAN/control", tree / INIT):
        if path.exists():
            path.write_text(
                re.sub(VERSION.format(re.escape(own)), rf"\g<1>{NEWER}", path.read_text())
            )
    made = into / package.name.replace(own, NEWER)
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, made], check=True)
    shutil.rmtree(tree)
    return made
