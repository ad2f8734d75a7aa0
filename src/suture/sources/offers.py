# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernels the archives hold completely: image, headers and source of exactly one version.

Debian keeps several versions of ``linux-source-6.1`` beside each other, each belonging to one
upload and so to one release; a source of another version compiles to other code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from debian.debian_support import Version

from suture.errors import ARCHIVE_UNREACHABLE, KERNEL_NOT_OFFERED, Refusal
from suture.host.progress import step
from suture.sources import apt
from suture.sources.apt import Package

IMAGE = "linux-image-"
HEADERS = "linux-headers-"
SOURCE = "linux-source-"

NAMES = rf"(?:{IMAGE}|{HEADERS}|{SOURCE})\S+"

RELEASE = re.compile(r"\d+\.\d+\.\d+\S*-amd64")
"""A release with three numbers; ``6.12-amd64`` is a metapackage's, and what follows ``-amd64``
(``-dbg``, ``-unsigned``, ``-signed-template``) is not what is booted."""

RT_FLAVOUR = "-rt-amd64"
RT_REASON = "built with the PREEMPT_RT patches, which linux-source holds but does not apply"

NEAR = 5


@dataclass(frozen=True, slots=True)
class Offer:
    """A release that can be fetched."""

    release: str
    version: str
    image: Package
    headers: Package
    source: Package

    @property
    def packages(self) -> tuple[Package, Package, Package]:
        return self.image, self.headers, self.source

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(package.size for package in self.packages)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A release whose image the archives hold and that cannot be a target, and why."""

    release: str
    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What the archives hold, newest first."""

    offers: tuple[Offer, ...]
    left_out: tuple[LeftOut, ...]

    def offer(self, release: str, version: str | None = None) -> Offer:
        """The newest offer of a release, or the one of a version.

        :raises Refusal: ``kernel-not-offered``
        """
        for offer in self.offers:
            if offer.release == release and version in (None, offer.version):
                return offer
        for left_out in self.left_out:
            if left_out.release == release and version in (None, left_out.version):
                raise Refusal(
                    KERNEL_NOT_OFFERED, release, f"version {left_out.version}: {left_out.reason}"
                )
        found = (
            "no archive holds its image"
            if version is None
            else f"no archive holds version {version} of it"
        )
        raise Refusal(
            KERNEL_NOT_OFFERED,
            release,
            found,
            evidence=[f"offered: {near}" for near in self._near(release)],
        )

    def _near(self, release: str) -> list[str]:
        releases = list(dict.fromkeys(offer.release for offer in self.offers))
        return get_close_matches(release, releases, NEAR, 0.6) or releases[:NEAR]


def offers() -> tuple[Offer, ...]:
    """The releases that can be fetched, newest first.

    :raises Refusal: ``archive-unreachable``, ``tool-missing``
    """
    return survey().offers


def survey() -> Survey:
    """Look through apt's lists, which are as old as the last ``apt-get update``.

    :raises Refusal: ``archive-unreachable`` (no list names a kernel image), ``tool-missing``
    """
    with step("Looking for kernels", "the configured apt archives"):
        known = {(package.name, package.version): package for package in apt.packages(NAMES)}
    images = [
        package
        for (name, _), package in known.items()
        if RELEASE.fullmatch(name.removeprefix(IMAGE))
    ]
    if not images:
        raise Refusal(
            ARCHIVE_UNREACHABLE, "apt", "its package lists name no kernel image for amd64"
        )
    entries = [_judge(image, known) for image in sorted(images, key=_age, reverse=True)]
    return Survey(
        tuple(entry for entry in entries if isinstance(entry, Offer)),
        tuple(entry for entry in entries if isinstance(entry, LeftOut)),
    )


def _judge(image: Package, known: Mapping[tuple[str, str], Package]) -> Offer | LeftOut:
    release = image.name.removeprefix(IMAGE)
    if release.endswith(RT_FLAVOUR):
        return LeftOut(release, image.version, RT_REASON)
    headers = known.get((HEADERS + release, image.version))
    source = known.get((SOURCE + _series(release), image.version))
    if headers is None or source is None:
        missing = [HEADERS + release] * (headers is None) + [SOURCE + _series(release)] * (
            source is None
        )
        return LeftOut(
            release, image.version, f"no archive holds {' and '.join(missing)} of this version"
        )
    return Offer(release, image.version, image, headers, source)


def _age(image: Package) -> tuple[Version, int]:
    """A key that sorts old before new and, of one upload, longer flavour names before the plain
    one."""
    return Version(image.version), -len(image.name)


def _series(release: str) -> str:
    """``6.1`` for ``6.1.0-50-amd64``: the part of the source package's name."""
    return ".".join(release.split(".")[:2])
