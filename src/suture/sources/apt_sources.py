# SPDX-License-Identifier: GPL-2.0-or-later
"""Source packages: the packaging of one, ``NAME_VERSION.debian.tar.xz``, without its original tar,
which is a hundred times as large.

It needs archives of source packages (``deb-src``), which a host is rarely configured for.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from suture.errors import ARCHIVE_UNREACHABLE, PACKAGE_CORRUPT, Refusal
from suture.host import files, run
from suture.host.progress import step
from suture.sources import apt
from suture.sources.apt import AptConfiguration, AptPackage

SUFFIX = ".debian.tar.xz"

ABSENT = re.compile(r"\b404\b|File not found|No such file|Unable to find a source package")

NO_PACKAGING = replace(
    ARCHIVE_UNREACHABLE,
    why="The kernel was built with patches that only the packaging of its source has.",
    remedy="Choose another kernel of 'suture kernel list', or another mirror in apt's sources: "
    "this one does not have the source package.",
)


def packaging(package: AptPackage, directory: Path) -> Path:
    """Return the path in a directory for the packaging of a binary package's source."""
    return directory / f"{package.source}_{package.version}{SUFFIX}"


def download_packaging(package: AptPackage, directory: Path, archives: AptConfiguration) -> None:
    """Download the packaging of a binary package's source to its path in a directory, verified;
    what is there stays.

    :param archives: archives of source packages.
    :raises Refusal: ``archive-unreachable``, ``package-corrupt``, ``package-untrusted``,
        ``disk-full``, ``tool-missing``
    """
    final = packaging(package, directory)
    with files.locked(directory / ".lock"):
        if final.exists():
            return
        with step("Downloading", final.name), apt.work_directory(directory) as work:
            wanted = f"{package.source}={package.version}"
            command = archives.command(
                "apt-get", "source", "--download-only", "--diff-only", wanted
            )
            finished = run.run(command, cwd=work, env=apt.environment())
            if finished.status != 0:
                raise _failure(finished, archives, wanted)
            if not (work / final.name).is_file():
                raise Refusal(PACKAGE_CORRUPT, final.name, "the source package has no such file")
            os.rename(work / final.name, final)


def _failure(finished: run.Finished, archives: AptConfiguration, wanted: str) -> Refusal:
    refusal = apt.failure(finished, archives, "apt-get source")
    if refusal.kind is archives.unreachable and ABSENT.search(finished.stderr):
        found = f"the archive does not have the packaging of {wanted}"
        return Refusal(NO_PACKAGING, refusal.where, found, evidence=refusal.evidence)
    return refusal
