# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernels, from the archives that apt is configured for on this host.

A kernel is complete if the archives have its image, headers and source in one version.  Debian has
several versions of ``linux-source-6.1`` at a time, each from one upload and so for one release; the
source of another version compiles to other code.

| part | package | below its root | | --- | --- | --- | | image | ``linux-image-R``; from 6.19 on
``linux-binary-R`` | ``boot/vmlinuz-R``, ``usr/lib/modules/R/vmlinuz`` | | modules |
``linux-image-R``; from 6.19 on ``linux-modules-R`` and ``linux-base-R`` | ``lib/modules/R`` | |
configuration, exports | ``linux-headers-R`` | ``usr/src/linux-headers-R`` | | source |
``linux-source-X.Y``, Debian's patches applied | ``usr/src/linux-source-X.Y.tar.xz`` | | patches
of rt until 6.12 | the packaging of the source (`suture.sources.debian_patches`) |
``debian/patches-rt`` |
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from suture.errors import PACKAGE_CORRUPT, Refusal
from suture.host.progress import step
from suture.kernel import config
from suture.kernel.release import UNKNOWN, Toolchain
from suture.sources import (
    apt,
    debian_patches,
    debian_sources,
    debian_suites,
    debian_toolchains,
    downloads,
    shared,
)
from suture.sources.apt import AptConfiguration, AptPackage
from suture.sources.source import (
    OLDEST_SERIES,
    TOO_OLD,
    CompilerOffer,
    Parts,
    SourceOffer,
    Survey,
    UnusableKernel,
)

if TYPE_CHECKING:
    from debian.debian_support import Version

IMAGE = "linux-image-"
HEADERS = "linux-headers-"
SOURCE = "linux-source-"
SPLIT = ("linux-binary-", "linux-modules-", "linux-base-")
"""The packages with the contents of an image package from 6.19 on, which is empty itself."""

NAMES = rf"(?:{'|'.join((IMAGE, HEADERS, SOURCE, *SPLIT))})\S+"

RELEASE = re.compile(r"\d+\.\d+\.\d+\S*-amd64")
"""A release with three numbers; ``6.12-amd64`` is a metapackage's, and what follows ``-amd64``
(``-dbg``, ``-unsigned``, ``-signed-template``) is not what is booted."""

COMPILER_DEPENDENCY = re.compile(r"\bgcc-\d+\b")
"""Headers depend on the compiler: ``linux-compiler-gcc-12-x86`` in 6.1, ``gcc-12`` in 6.12."""

COMPILER_TEXT = re.compile(r"\S*?(?P<package>gcc-\d+) \(Debian (?P<version>\S+)\)")
"""``CONFIG_CC_VERSION_TEXT``; Debian 13's names the compiler with its triplet:
``x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0``."""


@dataclass(frozen=True, slots=True)
class DebianArchives:
    """The `suture.sources.source.KernelSource` for Debian.

    :ivar suite: the suite, or "" for the archives that apt is configured for on this host.
    """

    suite: str = ""

    @property
    def name(self) -> str:
        """The name in messages, with its tool."""
        return f"Debian {self.suite} (apt)" if self.suite else "Debian (apt)"

    @property
    def refresh(self) -> str:
        """The command that updates the lists; those of a suite of its own need none."""
        return "" if self.suite else apt.UPDATE

    @property
    def suites(self) -> tuple[str, ...]:
        """The suites that this host can get kernels of."""
        return debian_suites.names()

    def of_suite(self, name: str) -> DebianArchives:
        """Return the source with the archives of a suite.

        :raises Refusal: ``suite-not-found`` (not a name)
        """
        return DebianArchives(debian_suites.lists(name).name)

    def suites_of(self, release: str) -> tuple[str, ...]:
        """Return the suites that a release's name says it may be from, the likeliest first."""
        return debian_suites.suites_of(release)

    def compilers(
        self, wanted: str, release: str, *, refresh: bool = True
    ) -> Iterator[CompilerOffer]:
        """Yield the compilers of all suites; see `suture.sources.source.KernelSource.compilers`."""
        yield from debian_toolchains.offers(wanted, release, refresh=refresh)

    def source_offers(self, release: str, *, refresh: bool = True) -> tuple[SourceOffer, ...]:
        """Return all versions of the source package of a kernel's series.

        :param refresh: False to download nothing at all.
        :raises Refusal: as `survey`
        """
        archives = self._archives(refresh=refresh)
        if archives is None:
            return ()
        return debian_sources.of_series(_series(release), archives)

    def is_available(self) -> bool:
        """Whether this host has apt."""
        return apt.is_installed()

    def survey(self, *, refresh: bool = True) -> Survey:
        """Search apt's lists: the host's are as old as the last ``apt-get update``; a suite's are
        refreshed.

        :param refresh: False to work with the lists that are here; no kernel if none are.
        :raises Refusal: ``archive-unreachable``, ``tool-missing``; of a suite also
            ``suite-not-found``, ``suite-unconfigured``, ``package-untrusted``, ``disk-full``
        """
        archives = self._archives(refresh=refresh)
        return Survey(()) if archives is None else self._survey(archives)

    def _archives(self, *, refresh: bool) -> AptConfiguration | None:
        if not self.suite:
            return apt.HOST
        lists = debian_suites.lists(self.suite)
        return lists.refreshed() if refresh else lists.kept()

    def _survey(self, archives: AptConfiguration) -> Survey:
        listed = apt.packages(NAMES, archives)
        known = {(package.name, package.version): package for package in listed}
        images = [
            package
            for (name, _), package in known.items()
            if RELEASE.fullmatch(name.removeprefix(IMAGE)) and name.startswith(IMAGE)
        ]
        entries = [_judge(image, known) for image in sorted(images, key=_age, reverse=True)]
        return Survey(
            tuple(
                replace(entry, archives=archives, suite=self.suite)
                for entry in entries
                if isinstance(entry, DebianOffer)
            ),
            tuple(entry for entry in entries if isinstance(entry, UnusableKernel)),
        )


@dataclass(frozen=True, slots=True)
class DebianOffer:
    """The `suture.sources.source.Offer` of a kernel with packages of one version.

    :ivar image: the packages with the image and the modules.
    :ivar archives: where they are.
    :ivar suite: the suite that they are from; "" if it is among the host's own.
    """

    release: str
    version: str
    image: tuple[AptPackage, ...]
    headers: AptPackage
    source: AptPackage
    archives: AptConfiguration = apt.HOST
    suite: str = ""

    @property
    def packages(self) -> tuple[AptPackage, ...]:
        """All packages of the kernel."""
        return *self.image, self.headers, self.source

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(package.size for package in self.packages)

    def toolchain(self) -> Toolchain:
        """Return the compiler on which the headers depend, such as ``gcc-12``."""
        named = COMPILER_DEPENDENCY.search(self.headers.depends)
        return Toolchain(named[0], (named[0],)) if named else UNKNOWN

    def get(self, into: Path) -> Parts:
        """Download, verify and unpack the kernel.

        :raises Refusal: ``archive-unreachable``, ``package-corrupt``, ``package-untrusted``,
            ``config-malformed``, ``disk-full``, ``tool-missing``; for a kernel with patches of its
            own also ``suite-not-found``, ``suite-unconfigured``
        """
        kept = downloads.directory()
        with downloads.held():
            # First, because a mirror may lack them, and the packages are a hundred times as large.
            patches = self._patches(kept, into / "patches")
            below = Path("usr/src", f"{self.source.name}.tar.xz")
            is_shared = shared.link(self.source.file_name, self.source.sha256, into, below)
            needed = [one for one in self.packages if not (is_shared and one == self.source)]
            apt.download(needed, kept, self.archives)
            image = _unpack(self.image, kept, into / "image")
            # The 6,500 others, and their links, are in the source too.
            built = f"usr/src/linux-headers-{self.release}"
            configuration, symvers = f"{built}/.config", f"{built}/Module.symvers"
            headers = into / "headers"
            with step("Unpacking", self.headers.name):
                apt.unpack_only(self.headers, kept, headers, (configuration, symvers))
            source = into / "source"
            if not is_shared:
                _unpack([self.source], kept, source)
        options = _part(self.headers, headers, configuration)
        return Parts(
            self.release,
            self.version,
            image=_part(
                self.image[0],
                image,
                f"boot/vmlinuz-{self.release}",
                f"usr/lib/modules/{self.release}/vmlinuz",
            ),
            config=options,
            symvers=_part(self.headers, headers, symvers),
            # Debian 13 and later, with a merged /usr, have the modules below it.
            modules=_part(
                self.image[0],
                image,
                f"lib/modules/{self.release}",
                f"usr/lib/modules/{self.release}",
            ),
            source=_part(self.source, source, f"usr/src/{self.source.name}.tar.xz"),
            patches=patches,
            toolchain=_toolchain(config.read(options).compiler),
            packages={one.file_name: one.sha256 for one in self.packages},
            downloads=tuple(kept / one.file_name for one in needed),
        )

    def _patches(self, kept: Path, into: Path) -> tuple[Path, ...]:
        """Return the patches that make the source this kernel's, unpacked: those of rt until
        6.12."""
        name = debian_patches.feature_set(self.headers)
        if not name:
            return ()
        # The host's own lists rarely have source packages, and do not tell the suite.
        likely = debian_suites.suites_of(self.release) or debian_suites.names()
        suites = (self.suite,) if self.suite else likely
        return debian_patches.patches(self.source, name, suites, kept, into)


def _judge(
    image: AptPackage, known: Mapping[tuple[str, str], AptPackage]
) -> DebianOffer | UnusableKernel:
    """Return the offer of an image package's kernel, or the reason why it is not complete.

    For example, an archive may have ``linux-image-6.1.0-50-amd64`` of 6.1.176-1, but
    ``linux-source-6.1`` only of 6.1.192-1, the source of 6.1.0-55-amd64.  Compiled from that, the
    kernel's functions would differ from the shipped ones.

    :param known: all packages, by name and version.
    """
    release, version = image.name.removeprefix(IMAGE), image.version
    if tuple(map(int, _series(release).split("."))) < OLDEST_SERIES:
        return UnusableKernel(release, version, TOO_OLD)
    is_split = f"{SPLIT[0]}{release}" in image.depends
    names = [f"{prefix}{release}" for prefix in SPLIT] if is_split else [image.name]
    names += [HEADERS + release, SOURCE + _series(release)]
    missing = [name for name in names if (name, version) not in known]
    if missing:
        reason = f"no archive has {' and '.join(missing)} of this version"
        return UnusableKernel(release, version, reason)
    *images, headers, source = (known[name, version] for name in names)
    return DebianOffer(release, version, tuple(images), headers, source)


def _age(image: AptPackage) -> tuple[Version, int]:
    """Return a key that sorts old before new and, of one upload, longer names of flavours before
    the plain one."""
    from debian.debian_support import Version

    return Version(image.version), -len(image.name)


def _series(release: str) -> str:
    """Return ``6.1`` for ``6.1.0-50-amd64``, as in the source package's name."""
    return ".".join(release.split(".")[:2])


def _unpack(packages: Sequence[AptPackage], kept: Path, directory: Path) -> Path:
    """Unpack packages into one tree, and return it."""
    for package in packages:
        with step("Unpacking", package.name):
            apt.unpack(package, kept, directory)
    return directory


def _part(package: AptPackage, directory: Path, *candidates: str) -> Path:
    for candidate in candidates:
        if (directory / candidate).exists():
            return directory / candidate
    raise Refusal(PACKAGE_CORRUPT, package.file_name, f"it holds no {candidates[0]}")


def _toolchain(compiler: str) -> Toolchain:
    """Return the compiler of a configuration, with the exact version of its package."""
    match = COMPILER_TEXT.match(compiler)
    return Toolchain(compiler, (f"{match['package']}={match['version']}",) if match else ())
