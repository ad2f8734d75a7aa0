# SPDX-License-Identifier: GPL-2.0-or-later
"""What every source of kernels hands over, whatever it is made of.

A `KernelSource` surveys which kernels can be had; an `Offer` of the survey gets one of them; what
it hands over are `Parts`, plain files that say nothing of how they were packed.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Protocol

from suture.errors import KERNEL_NOT_OFFERED, Refusal
from suture.kernel.release import UNKNOWN, Toolchain

NEAR = 5
"""How many releases a message names that are like the one asked for."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A kernel as its source hands it over: files below the directory that `Offer.get` was given,
    verified, and all of one build.

    However many packages a part came in, it is one path here: Ubuntu's ``linux-modules-R`` and
    ``linux-modules-extra-R``, unpacked into one tree, are one `modules`.

    :ivar release: what ``uname -r`` says on it, such as ``6.1.0-50-amd64``.
    :ivar version: the packages' version, or "" for a tree that the user built.  It begins with the
        version that the source's own Makefile names (``6.1.176-1``).
    :ivar image: the image as it is shipped and booted.  Where no such file is (a built tree that
        has ``vmlinux`` alone), the kernel is read from `debug`.
    :ivar config: its ``.config``.
    :ivar symvers: its ``Module.symvers``; may be packed with gzip, xz or zstd.
    :ivar modules: its ``/lib/modules/<release>``.
    :ivar source: a tar with the tree in one directory, or the directory of a tree.
    :ivar patches: unified diffs, not packed, that `patch -p1` applies to the source, in this order,
        before it is what the kernel was built from.
    :ivar debug: its ``vmlinux`` with symbols, where there is one.
    :ivar toolchain: what compiled it.
    """

    release: str
    version: str
    image: Path
    config: Path
    symvers: Path
    modules: Path
    source: Path
    patches: tuple[Path, ...] = ()
    debug: Path | None = None
    toolchain: Toolchain = UNKNOWN

    @property
    def booted(self) -> Path:
        """The file that the kernel is read from."""
        return self.debug if self.debug is not None and not self.image.exists() else self.image


class Offer(Protocol):
    """A kernel that can be had with all of its parts."""

    @property
    def release(self) -> str:
        """What ``uname -r`` says on it."""

    @property
    def version(self) -> str:
        """Its packages' version, which tells two builds of one release apart."""

    @property
    def size(self) -> int:
        """Bytes to download."""

    def toolchain(self) -> Toolchain:
        """What compiled it, as far as that is known before it is here."""

    def get(self, into: Path) -> Parts:
        """Download, verify and unpack it.

        :param into: an empty directory, which becomes the target's place in the cache or, after a
            refusal, is removed.  Downloads that are worth keeping go elsewhere in the cache.
        :raises Refusal: ``archive-unreachable``, ``package-corrupt``, ``package-untrusted``,
            ``config-malformed``, ``disk-full``, ``tool-missing``
        """


@dataclass(frozen=True, slots=True)
class UnusableKernel:
    """A kernel that a source knows of and that cannot be a target, and why."""

    release: str
    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What can be had: newest first, and of one version the plain flavour before others.

    :ivar unanswered: the refusals of those sources that could not be asked, where another could.
    """

    offers: tuple[Offer, ...]
    left_out: tuple[UnusableKernel, ...] = ()
    unanswered: tuple[Refusal, ...] = ()

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
        unanswered = [f"not asked: {refusal.where}: {refusal.found}" for refusal in self.unanswered]
        offered = [f"offered: {near}" for near in self._near(release)]
        raise Refusal(KERNEL_NOT_OFFERED, release, found, evidence=unanswered + offered)

    def _near(self, release: str) -> list[str]:
        releases = list(dict.fromkeys(offer.release for offer in self.offers))
        return get_close_matches(release, releases, NEAR, 0.6) or releases[:NEAR]


class KernelSource(Protocol):
    """Where kernels come from: the archives of one distribution."""

    @property
    def name(self) -> str:
        """For messages: the distribution, and how it is asked, such as "Debian (apt)"."""

    @property
    def refresh(self) -> str:
        """The command that brings what `survey` reads up to date, or ""."""

    def is_available(self) -> bool:
        """Whether this host has the programs to ask it."""

    def survey(self) -> Survey:
        """What it has; nothing where the host's configuration names no archive of its kernels.

        Nothing is downloaded but lists.

        :raises Refusal: ``archive-unreachable``, ``tool-missing``
        """
