# SPDX-License-Identifier: GPL-2.0-or-later
"""What the changelog of an installed kernel's package says is fixed.

Debian's kernel packages have one: the titles of stable updates' commits with the CVE numbers that
they close, newest version first::

    linux (6.1.192-1) bookworm-security; urgency=high

      * New upstream stable update:
        - smb: client: fix OOB read/write from unvalidated DataOffset in
          coalesce_t2() (CVE-2026-89633)

It is read as root, from files that only root's package manager writes.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from suture.core.running import ROOT
from suture.model import Fix

PLACES = (
    "usr/share/doc/linux-image-{release}/changelog.Debian.gz",
    "usr/share/doc/linux-image-{release}/changelog.gz",
    "usr/share/doc/linux-image-{release}-unsigned/changelog.Debian.gz",
)

LARGEST = 64 << 20
"""Bytes that are read of one; that of 6.1.192 has 3.7 MB."""

_HEADING = re.compile(r"\S+ \((?P<version>[^)]+)\) ")
_ITEM = re.compile(r"\s+[-*+] (?P<text>.*)")
_NAME = re.compile(r"  \[ .* \]$| -- ")
"""Who the following entries are by, or the end of a version."""

_ADDRESS = re.compile(r"https?://\S+")
"""A line of its own, between the entries of two stable updates."""

_CVE = re.compile(r"CVE-\d{4}-\d{4,19}")
_NUMBERS = re.compile(r"\(?CVE-[\d-]+(?:,CVE-[\d-]+)*[,)]*")
"""A word of what follows the title: ``(CVE-2026-1,`` and ``CVE-2026-2)``."""

_FOR_SOME = re.compile(r"^(\[[^\]]+\]\s*)+")
_REVERT = re.compile(r'Revert "(?P<title>.+)"')


@dataclass(frozen=True, slots=True)
class ChangelogItem:
    """One entry.

    :ivar version: of the package that brought it.
    :ivar title: without CVE numbers and without the architectures that it is for.
    :ivar architectures: such as ``x86`` or ``arm64,armhf``; empty where it is for all.
    """

    version: str
    title: str
    cves: frozenset[str]
    architectures: frozenset[str] = frozenset()


def read(release: str, root: Path = ROOT) -> str:
    """Return the text of a kernel's changelog; "" where there is none that can be read."""
    for place in PLACES:
        try:
            return unpacked(root / place.format(release=release))
        except (OSError, EOFError, zlib.error):
            continue
    return ""


def unpacked(path: Path) -> str:
    """Return the text of a changelog as packages have it.

    :raises OSError: it is missing, or not packed.
    :raises EOFError: it is cut off.
    :raises zlib.error: it is damaged.
    """
    with gzip.open(path) as file:
        return file.read(LARGEST).decode("utf-8", "replace")


def items(text: str, after: str = "") -> Iterator[ChangelogItem]:
    """Yield the entries, newest first.

    :param after: the version from which on nothing is new; "" to yield all.
    """
    version, lines = "", list[str]()
    for line in text.splitlines():
        if heading := _HEADING.match(line):
            yield from _item(version, lines)
            version, lines = heading["version"], []
            if after and _is_same_version(version, after):
                return
        elif found := _ITEM.match(line):
            yield from _item(version, lines)
            lines = [found["text"]]
        elif not line.strip() or _NAME.match(line) or _ADDRESS.fullmatch(line.strip()):
            yield from _item(version, lines)
            lines = []
        elif lines:
            lines.append(line.strip())
    yield from _item(version, lines)


def version_of(text: str) -> str:
    """Return the version of the package; "" where the text is no changelog."""
    match = _HEADING.match(text)
    return match["version"] if match else ""


def evidence(fixes: tuple[Fix, ...], new: tuple[ChangelogItem, ...]) -> str:
    """Return how it is known that all fixes are among a kernel's new entries; "" if it is not.

    A fix is known by its title or by all of its CVE numbers.  An entry that takes it back
    (``Revert "TITLE"``) means that nobody can say.
    """
    reverted = {match["title"] for one in new if (match := _REVERT.fullmatch(one.title))}
    standing = [one for one in new if one.title not in reverted]
    found = [_evidence(fix, standing) for fix in fixes]
    return "; ".join(dict.fromkeys(found)) if found and all(found) else ""


def _evidence(fix: Fix, standing: list[ChangelogItem]) -> str:
    title = " ".join(fix.title.split())
    for one in standing:
        if title and one.title == title:
            return f"the changelog of {one.version} has {title!r}"
    naming = [next((one for one in standing if cve in one.cves), None) for cve in fix.cves]
    versions = [one.version for one in naming if one is not None]
    if not fix.cves or len(versions) < len(fix.cves):
        return ""
    return f"the changelog of {versions[0]} names {', '.join(fix.cves)}"


def _item(version: str, lines: list[str]) -> Iterator[ChangelogItem]:
    if not lines:
        return
    text = " ".join(" ".join(lines).split())
    words = text.split()
    while words and _NUMBERS.fullmatch(words[-1]):
        words.pop()
    whole = " ".join(words)
    tags = _FOR_SOME.match(whole)
    title = whole[tags.end() :] if tags else whole
    if title.endswith(":"):  # "New upstream stable update:", whose entries follow
        return
    architectures = frozenset(re.findall(r"[\w-]+", tags[0])) if tags else frozenset()
    yield ChangelogItem(version, title, frozenset(_CVE.findall(text)), architectures)


def _is_same_version(one: str, other: str) -> bool:
    """The packages of signed kernels have ``6.1.192+1`` where their source has ``6.1.192-1``."""
    return one.replace("+", "-", 1) == other.replace("+", "-", 1)
