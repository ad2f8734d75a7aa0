# SPDX-License-Identifier: GPL-2.0-or-later
"""The versions of the source of a Debian kernel: the package ``linux-source-X.Y``, which has
Debian's patches applied, and the changelog of all versions before."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

from suture.core.changelog import unpacked
from suture.errors import PACKAGE_CORRUPT, Refusal
from suture.host.progress import step
from suture.sources import apt, downloads, shared
from suture.sources.apt import AptConfiguration, AptPackage
from suture.sources.source import NewerSource


@dataclass(frozen=True, slots=True)
class DebianSource:
    """The `suture.sources.source.SourceOffer` of a ``linux-source`` package."""

    package: AptPackage
    archives: AptConfiguration

    @property
    def name(self) -> str:
        """The package and its version."""
        return f"{self.package.name} {self.package.version}"

    @property
    def version(self) -> str:
        """The package's version."""
        return self.package.version

    @property
    def size(self) -> int:
        """Bytes to download."""
        return self.package.size

    def get(self, into: Path) -> NewerSource:
        """Return the source of a kernel that is here and was built from this package, or else
        download, verify and unpack it.

        :raises Refusal: ``archive-unreachable``, ``package-corrupt``, ``package-untrusted``,
            ``disk-full``, ``tool-missing``
        """
        below = Path("usr/src", f"{self.package.name}.tar.xz")
        for archive in shared.with_package(self.package.file_name, self.package.sha256):
            top = archive.parents[len(below.parts) - 1]
            if archive == top / below and _changelog_path(self.package, top).is_file():
                return NewerSource(archive, _changelog(self.package, top))
        kept = downloads.directory()
        with downloads.held():
            apt.download([self.package], kept, self.archives)
            with step("Unpacking", self.name):
                apt.unpack(self.package, kept, into)
        downloads.drop([kept / self.package.file_name])
        if not (into / below).is_file():
            raise Refusal(PACKAGE_CORRUPT, self.package.file_name, f"it holds no {below}")
        return NewerSource(into / below, _changelog(self.package, into))


def of_series(series: str, archives: AptConfiguration) -> tuple[DebianSource, ...]:
    """Return the versions that archives have.

    :param series: ``6.1``, as in the package's name.
    :raises Refusal: ``archive-unreachable``, ``tool-missing``
    """
    name = rf"linux-source-{series.replace('.', '[.]')}"
    return tuple(DebianSource(package, archives) for package in apt.packages(name, archives))


def _changelog(package: AptPackage, into: Path) -> str:
    """Return the text of the package's changelog.  :raises Refusal: ``package-corrupt``"""
    try:
        return unpacked(_changelog_path(package, into))
    except (OSError, EOFError, zlib.error) as error:
        found = f"its changelog cannot be read ({error})"
        raise Refusal(PACKAGE_CORRUPT, package.file_name, found) from error


def _changelog_path(package: AptPackage, top: Path) -> Path:
    return top / "usr/share/doc" / package.name / "changelog.Debian.gz"
