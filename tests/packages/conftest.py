# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian packages of the commit that is checked out, and the systems that they are installed in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts import zipapp
from tests import deb_packages

HOST = (
    *("apt", "man-db", "python3", "python3-asn1crypto", "python3-click", "python3-cryptography"),
    *("python3-pyelftools", "systemd"),
)
"""What the package suture depends on, without what it only recommends, and what shows that its files
are where they belong; apt, for tests that install more."""


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
    deb_packages.make(directory, checked=True)
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
        deb_packages.repack(package, directory)
    return Packages(directory)
