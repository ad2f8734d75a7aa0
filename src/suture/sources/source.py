# SPDX-License-Identifier: GPL-2.0-or-later
"""The protocols of sources of kernels.

A `KernelSource` surveys the kernels that it has; an `Offer` of the survey gets one of them, as
`Parts`: plain files, however they were packed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Protocol

from suture.errors import KERNEL_NOT_OFFERED, Refusal
from suture.kernel.release import UNKNOWN, Toolchain
from suture.sources.compiler import UnpackedCompiler

NEAR = 5
"""The number of similar releases that a message names."""


OLDEST_SERIES = (6, 1)
"""Kernels before are left out of a survey.  A package list has nothing else to go by than the
number; of a tree, `suture.workspace.source.check_kbuild` looks at its kbuild."""

TOO_OLD = "Suture cannot build for Linux before 6.1 (docs/targets.md)"


@dataclass(frozen=True, slots=True)
class Parts:
    """A kernel from a source: verified files of one build, below the directory of `Offer.get`.

    Each part is one path, however many packages it comes in: Ubuntu's ``linux-modules-R`` and
    ``linux-modules-extra-R``, unpacked into one tree, are one `modules`.

    :ivar release: the output of ``uname -r`` on it, such as ``6.1.0-50-amd64``.
    :ivar version: the packages' version, or "" for a tree that the user built.  It begins with the
        version in the source's own Makefile (``6.1.176-1``).
    :ivar image: the image that is shipped and booted.  If the file does not exist (a built tree
        with ``vmlinux`` alone), the kernel is read from `debug`.
    :ivar config: its ``.config``.
    :ivar symvers: its ``Module.symvers``; may be packed with gzip, xz or zstd.
    :ivar modules: its ``/lib/modules/<release>``.
    :ivar source: a tar with the tree in one directory, or the directory of a tree.
    :ivar patches: unified diffs, not packed, that ``patch -p1`` applies to the source in this order
        to make it the kernel's.
    :ivar debug: its ``vmlinux`` with symbols, if there is one.
    :ivar toolchain: its compiler.
    :ivar packages: name of each package's file -> SHA-256, as the source's signed index has it:
        what the parts were verified with.
    :ivar downloads: files that nothing needs once the target is complete.
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
    packages: Mapping[str, str] = field(default_factory=dict)
    downloads: tuple[Path, ...] = ()

    @property
    def booted(self) -> Path:
        """The file from which the kernel is read."""
        return self.debug if self.debug is not None and not self.image.exists() else self.image


class Offer(Protocol):
    """A kernel that a source has with all of its parts."""

    @property
    def release(self) -> str:
        """The output of ``uname -r`` on it."""

    @property
    def version(self) -> str:
        """Its packages' version, which distinguishes two builds of one release."""

    @property
    def suite(self) -> str:
        """The suite that it is from; "" if this host is configured for it."""

    @property
    def size(self) -> int:
        """Bytes to download."""

    def toolchain(self) -> Toolchain:
        """Return its compiler, as far as that is known before the download."""

    def get(self, into: Path) -> Parts:
        """Download, verify and unpack it.

        :param into: an empty directory, which becomes the target's place in the cache, or is
            removed after a refusal.  Downloads go elsewhere in the cache, so that they need not be
            repeated after a refusal.
        :raises Refusal: ``archive-unreachable``, ``package-corrupt``, ``package-untrusted``,
            ``config-malformed``, ``disk-full``, ``tool-missing``
        """


class CompilerOffer(Protocol):
    """A compiler that a source can unpack beside this host's."""

    @property
    def name(self) -> str:
        """Its package and where it is from, for messages."""

    @property
    def is_exact(self) -> bool:
        """Whether it is the very compiler that built the kernel."""

    def get(self) -> UnpackedCompiler:
        """Download, verify and unpack it, or return what was unpacked before.

        :raises Refusal: as `Offer.get`, and ``command-failed``
        """


@dataclass(frozen=True, slots=True)
class NewerSource:
    """The source of one version, verified and unpacked.

    :ivar archive: a tar with the tree in one directory.
    :ivar changelog: of the package, not packed.
    """

    archive: Path
    changelog: str


class SourceOffer(Protocol):
    """The source of a version, which may be offered without the kernels built from it."""

    @property
    def name(self) -> str:
        """Its package and version, for messages."""

    @property
    def version(self) -> str:
        """The packages' version."""

    @property
    def size(self) -> int:
        """Bytes to download."""

    def get(self, into: Path) -> NewerSource:
        """Download, verify and unpack it.

        :param into: an empty directory.
        :raises Refusal: ``archive-unreachable``, ``package-corrupt``, ``package-untrusted``,
            ``disk-full``, ``tool-missing``
        """


@dataclass(frozen=True, slots=True)
class UnusableKernel:
    """A kernel that a source knows but cannot offer, and the reason."""

    release: str
    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class Survey:
    """The kernels of all sources, each source's newest first, and of one version the plain flavour
    before others.

    :ivar unanswered: the refusals of sources that failed while another one did not.
    """

    offers: tuple[Offer, ...]
    left_out: tuple[UnusableKernel, ...] = ()
    unanswered: tuple[Refusal, ...] = ()

    def offer(self, release: str, version: str | None = None) -> Offer:
        """Return the newest offer of a release, or the one of a version.

        :raises Refusal: ``kernel-not-offered``
        """
        for offer in self.offers:
            if offer.release == release and version in (None, offer.version):
                return offer
        for left_out in self.left_out:
            if left_out.release == release and version in (None, left_out.version):
                found = f"version {left_out.version}: {left_out.reason}"
                raise Refusal(KERNEL_NOT_OFFERED, release, found, kernel=release)
        found = (
            "no archive has its image"
            if version is None
            else f"no archive has version {version} of it"
        )
        unanswered = [f"no answer: {refusal.where}: {refusal.found}" for refusal in self.unanswered]
        offered = [f"offered: {near}" for near in self._near(release)]
        raise Refusal(
            KERNEL_NOT_OFFERED, release, found, evidence=unanswered + offered, kernel=release
        )

    def leaves_out(self, release: str) -> bool:
        """Tell whether some version of a release cannot be offered."""
        return any(left_out.release == release for left_out in self.left_out)

    def _near(self, release: str) -> list[str]:
        releases = list(dict.fromkeys(offer.release for offer in self.offers))
        return get_close_matches(release, releases, NEAR, 0.6) or releases[:NEAR]


class KernelSource(Protocol):
    """A source of kernels: the archives of one distribution."""

    @property
    def name(self) -> str:
        """Its name in messages, with its tool: "Debian (apt)"."""

    @property
    def refresh(self) -> str:
        """The command that updates the lists of `survey`, or ""."""

    @property
    def suites(self) -> tuple[str, ...]:
        """The releases of the distribution that it can survey besides what this host is configured
        for; empty if it can survey no other."""

    def of_suite(self, name: str) -> KernelSource:
        """Return the source with the archives of one suite alone.

        :raises Refusal: ``suite-not-found``
        """

    def suites_of(self, release: str) -> tuple[str, ...]:
        """Return those of the suites that a kernel of this name may be from, the likeliest
        first."""

    def compilers(
        self, wanted: str, release: str, *, refresh: bool = True
    ) -> Iterator[CompilerOffer]:
        """Yield the compilers that can be unpacked for a kernel: the exact one alone, or else
        others of the same version.

        :param wanted: the first line of its ``--version``, from the kernel's configuration.
        :param release: the kernel's; it may say where the compiler is from.
        :param refresh: False to download nothing at all.
        :raises Refusal: as `survey` of a suite
        """

    def source_offers(self, release: str, *, refresh: bool = True) -> tuple[SourceOffer, ...]:
        """Return all versions of the source from which a kernel is built.

        :param refresh: False to download nothing at all.
        :raises Refusal: as `survey`
        """

    def is_available(self) -> bool:
        """Whether this host has its programs."""

    def survey(self, *, refresh: bool = True) -> Survey:
        """Return its kernels; none if the host's configuration has no archive of them.

        Nothing is downloaded but lists.

        :param refresh: False to download nothing at all.
        :raises Refusal: ``archive-unreachable``, ``tool-missing``; of a suite also
            ``suite-not-found``, ``suite-unconfigured``, ``package-untrusted``, ``disk-full``
        """
