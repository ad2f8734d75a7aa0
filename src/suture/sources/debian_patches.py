# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches of a Debian kernel that its ``linux-source`` package does not have applied.

A feature set of Debian's kernel package has patches of its own in the packaging, in
``debian/patches-SET/``.  The one set of amd64 is ``rt``: 70 patches for 6.1, 43 for 6.12.  In 7.x
(7.2 has been looked at, and later ones), rt is a flavour of the common source, and differs in its
configuration only.  Headers of a set's kernel depend on the set's common headers
(``linux-headers-6.1.0-53-common-rt``), those of a flavour on ``linux-headers-7.3.4+deb13-common``,
so that a package list tells the two apart.
"""

from __future__ import annotations

import lzma
import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from suture.errors import PACKAGE_CORRUPT, Refusal
from suture.host.progress import step
from suture.sources import apt_sources, debian_suites
from suture.sources.apt import AptPackage

COMMON_HEADERS = re.compile(r"\blinux-headers-\S+-common-(?P<set>[a-z]+)\b")


def feature_set(headers: AptPackage) -> str:
    """Return the feature set of the kernel of a headers package, or "" for the common source."""
    named = COMMON_HEADERS.search(headers.depends)
    return named["set"] if named else ""


def patches(
    source: AptPackage, name: str, suites: Sequence[str], kept: Path, into: Path
) -> tuple[Path, ...]:
    """Unpack the patches of a feature set, and return their paths in the order of the series.

    :param source: the package ``linux-source-X.Y`` of the kernel.
    :param suites: the suites that may have its source, the likeliest first; at least one.
    :param kept: the directory of downloads.
    :raises Refusal: ``archive-unreachable``, ``package-corrupt``, ``package-untrusted``,
        ``suite-not-found``, ``suite-unconfigured``, ``disk-full``, ``tool-missing``
    """
    packaging = apt_sources.packaging(source, kept)
    if not packaging.exists():
        _download(source, suites, kept)
    with step("Unpacking", f"the patches of {name}"):
        below = f"debian/patches-{name}/"
        members = _members(packaging, below)
        listed = members.get(f"{below}series", b"").decode(errors="replace")
        series = list(_series(listed, packaging.name))
        missing = [patch for patch in series or ["series"] if f"{below}{patch}" not in members]
        if missing:
            raise Refusal(PACKAGE_CORRUPT, packaging.name, f"it holds no {below}{missing[0]}")
        into.mkdir(parents=True)
        return tuple(_written(members[f"{below}{patch}"], into, patch) for patch in series)


def _download(source: AptPackage, suites: Sequence[str], kept: Path) -> None:
    """Download the packaging from the first suite that has it."""
    refusals = []
    for suite in suites:
        try:
            archives = debian_suites.lists(suite, source_packages=True).refreshed()
            apt_sources.download_packaging(source, kept, archives)
        except Refusal as refusal:
            refusals.append(refusal)
        else:
            return
    raise refusals[0]


def _members(packaging: Path, below: str) -> dict[str, bytes]:
    """Return the files of a packed directory below a path."""
    try:
        with tarfile.open(packaging) as archive:
            found = [entry for entry in archive if entry.isfile() and entry.name.startswith(below)]
            return {entry.name: _contents(archive, entry) for entry in found}
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError, ValueError) as error:
        packaging.unlink(missing_ok=True)  # so that the next run downloads it again
        raise Refusal(
            PACKAGE_CORRUPT, packaging.name, f"it cannot be unpacked ({error})"
        ) from error


def _contents(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(entry)
    return b"" if file is None else file.read()


def _series(text: str, where: str) -> Iterator[str]:
    """Yield the patches that a quilt series names, each in a line that may end in a comment.

    :raises Refusal: ``package-corrupt`` for one that is not to be applied with ``-p1``, as all are
    """
    for line in text.splitlines():
        name, *options = line.partition("#")[0].split() or [""]
        if options not in ([], ["-p1"]):
            raise Refusal(PACKAGE_CORRUPT, where, f"its series has {name} with {options[0]}")
        if name:
            yield name


def _written(patch: bytes, into: Path, name: str) -> Path:
    """Write a patch that a series may name with directories (``features/x86/a.patch``), so that no
    two have one path and none is elsewhere."""
    path = into / name.replace("/", "!")
    path.write_bytes(patch)
    return path
