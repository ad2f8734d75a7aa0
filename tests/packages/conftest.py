# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian packages of the commit that is checked out, and the systems that they are installed in."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts import deb, zipapp

HOST = (
    *("apt", "man-db", "python3", "python3-asn1crypto", "python3-click", "python3-cryptography"),
    *("python3-pyelftools", "systemd"),
)
"""What the package suture depends on, without what it only recommends, and what shows that its files
are where they belong; apt, for tests that install more."""

NEWER = "9.9"

INIT = "usr/lib/python3/dist-packages/suture/__init__.py"

VERSION = r'(Version: |suture \(= |__version__ = "){}'
"""Where packages have it: in the control file, and in Suture's own code."""


@dataclass(frozen=True, slots=True)
class Packages:
    """Both packages.

    :ivar directory: where they are.
    """

    directory: Path

    @property
    def suture(self) -> Path:
        return next(self.directory.glob("suture_*.deb"))

    @property
    def build(self) -> Path:
        return next(self.directory.glob("suture-build_*.deb"))


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """As 'make deb' makes them: lintian's errors and warnings end it."""
    directory = tmp_path_factory.mktemp("packages")
    deb.make(directory)
    return Packages(directory)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As 'make zipapp' makes it."""
    return zipapp.make(tmp_path_factory.mktemp("archive") / "suture.pyz")


@pytest.fixture(scope="session")
def newer(packages: Packages, tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """The same with a higher version, which Suture itself has too."""
    directory = tmp_path_factory.mktemp("newer")
    for package in (packages.suture, packages.build):
        repack(package, directory)
    return Packages(directory)


def repack(package: Path, into: Path) -> None:
    """Give a package a higher version."""
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
