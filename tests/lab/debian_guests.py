# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian guests that live on their own disk, with what the runtime package depends on, and apt."""

from __future__ import annotations

from pathlib import Path

from suture.lab.debian import SmallDebian
from suture.sources import debian_suites

REPOSITORY = "/srv/packages"

MORE = (
    *("apt", "linux-base", "python3-asn1crypto", "python3-click", "python3-cryptography"),
    "python3-pyelftools",
)
"""What the package depends on, without what it only recommends, and what kernels' packages use."""

SETTINGS = (
    # Packages that are installed later keep their changelogs.
    'rm "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap"',
    'rm -f "$1"/etc/apt/sources.list.d/*',
    f'echo "deb [trusted=yes] file:{REPOSITORY} ./" >"$1/etc/apt/sources.list"',
    """echo 'Acquire::Languages "none";' >"$1/etc/apt/apt.conf.d/languages\"""",
)


def image(suite: str, *more: str) -> Path:
    """The file system of a guest of a suite, which has no kernel; it must not be written to."""
    lists = debian_suites.lists(suite)
    lists.refreshed()
    sources = (lists.directory / "debian.sources").read_text()
    return SmallDebian(suite, sources, (*MORE, *more), SETTINGS).image()
