# SPDX-License-Identifier: GPL-2.0-or-later
"""The sources that Suture knows, and one survey of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from suture.errors import (
    ARCHIVE_UNREACHABLE,
    KERNEL_NOT_OFFERED,
    SUITE_NOT_FOUND,
    SUITE_UNCONFIGURED,
    Refusal,
)
from suture.host.kernel_names import keep_offered
from suture.host.progress import note, step
from suture.sources import versions
from suture.sources.debian import DebianArchives
from suture.sources.source import (
    CompilerOffer,
    KernelSource,
    Offer,
    SourceOffer,
    Survey,
    UnusableKernel,
)

SOURCES: tuple[KernelSource, ...] = (DebianArchives(),)
"""In order of preference: if two offer one release, the first one's counts."""


EVERY = "all"
"""Stands for every suite that the sources know."""


def offers() -> tuple[Offer, ...]:
    """Return the kernels that can be fetched, in the order of `survey`.

    :raises Refusal: as `survey`
    """
    return survey().offers


def survey(suites: Sequence[str] = (), *, refresh: bool = True) -> Survey:
    """Survey every source for which this host has the programs.

    :param suites: other suites than those that this host is configured for, whose kernels are
        surveyed too; `EVERY` for all that the sources know.
    :param refresh: False to use the package lists that are here.
    :raises Refusal: ``archive-unreachable`` (no source names a kernel), ``tool-missing`` (no source
        has its programs here), ``suite-not-found``
    """
    hosts = _available()
    available = [*hosts, *_of_suites(hosts, suites)]
    names = ", ".join(source.name for source in available)
    with step("Looking for kernels", names):
        surveys, refusals = _survey_each(available, refresh=refresh)
    if not any(found.offers or found.left_out for found in surveys):
        if refusals:
            raise refusals[0]
        update = " && ".join(source.refresh for source in available if source.refresh)
        raise Refusal(
            ARCHIVE_UNREACHABLE,
            names,
            "its package lists have no kernel image",
            remedy=f"Check the configured archives, run '{update}', and run the same command "
            "again.",
        )
    found = _joined(surveys, refusals)
    if not suites:
        keep_offered(offer.release for offer in found.offers)
    return found


def find_offer(
    release: str, version: str | None = None, suites: Sequence[str] = (), *, refresh: bool = True
) -> Offer:
    """Return the offer of a release: from this host's archives and those of the suites; or else,
    when no suite is named, from a suite that the release's name says it is from.

    For example, a Debian 12 host's archives do not have 6.12.118+deb13-amd64; trixie has.

    :param version: the packages' version; by default the newest.
    :raises Refusal: ``kernel-not-offered``, and as `survey`
    """
    try:
        return survey(suites, refresh=refresh).offer(release, version)
    except Refusal as refusal:
        if suites or refusal.kind not in (KERNEL_NOT_OFFERED, ARCHIVE_UNREACHABLE):
            raise
        found = _elsewhere(release, version, refusal, refresh=refresh)
        if found is None:
            raise
        return found


def source_offers(release: str, version: str, *, refresh: bool = True) -> tuple[SourceOffer, ...]:
    """Return the versions of the source of a kernel that are newer than its own, newest first: from
    this host's archives, or else from the suite that the release's name says it is from.

    :param version: the kernel's packages' version.
    :raises Refusal: as `survey`, if no source answers
    """
    refusals: list[Refusal] = []
    found: list[SourceOffer] = []
    for source in chain(_available(), _suites_of(release)):
        try:
            found += source.source_offers(release, refresh=refresh)
        except Refusal as refusal:
            refusals.append(refusal)
        if any(offer.version == version for offer in found):
            break
    if not found and refusals:
        raise refusals[0]
    for silent in refusals:
        if silent.kind is not SUITE_UNCONFIGURED:
            note(f"No answer: {silent.where}: {silent.found}")
    own = versions.key(version)
    newer = {offer.version: offer for offer in found if versions.key(offer.version) > own}
    return tuple(sorted(newer.values(), key=lambda one: versions.key(one.version), reverse=True))


def compilers(
    wanted: str, release: str, *, refresh: bool = True
) -> tuple[list[CompilerOffer], list[Refusal]]:
    """Return the compilers that can be unpacked for a kernel, the exact one first, and what kept
    sources from answering.

    :param wanted: as `suture.sources.source.KernelSource.compilers`.
    """
    found: list[CompilerOffer] = []
    refusals: list[Refusal] = []
    for source in _available():
        try:
            found += source.compilers(wanted, release, refresh=refresh)
        except Refusal as refusal:
            refusals.append(refusal)
    return sorted(found, key=lambda offer: not offer.is_exact), refusals


def _elsewhere(
    release: str, version: str | None, missing: Refusal, *, refresh: bool
) -> Offer | None:
    """Return the offer of a release from the suite that has it, or None.

    :raises Refusal: as `missing`, with what kept a suite from answering, or with the reason why a
        suite that has the kernel does not offer it
    """
    unanswered: list[str] = []
    left_out: list[Refusal] = []
    for other in _suites_of(release):
        try:
            known = other.survey(refresh=refresh)
        except Refusal as refusal:
            if refusal.kind is not SUITE_UNCONFIGURED:
                unanswered.append(f"no answer: {other.name}: {refusal.found}")
            continue
        try:
            found = known.offer(release, version)
        except Refusal as refusal:
            # bullseye has 5.10.0-46-amd64, and a reason why Suture cannot use it.
            if known.leaves_out(release):
                left_out.append(refusal)
            continue
        note(f"{release} {found.version} is from {other.name}")
        return found
    if left_out:
        raise left_out[0]
    if unanswered:
        evidence = (*missing.evidence, *unanswered)
        raise Refusal(missing.kind, missing.where, missing.found, evidence=evidence) from missing
    return None


def _suites_of(release: str) -> Iterator[KernelSource]:
    """Yield the sources of the suites that a release's name says it may be from."""
    for source in _available():
        for suite in source.suites_of(release):
            yield source.of_suite(suite)


def _available() -> list[KernelSource]:
    return [source for source in SOURCES if source.is_available()] or list(SOURCES[:1])


def _of_suites(hosts: Sequence[KernelSource], suites: Sequence[str]) -> list[KernelSource]:
    """Return the sources of the named suites, each once.

    :raises Refusal: ``suite-not-found``
    """
    having = [source for source in hosts if source.suites]
    found: dict[str, KernelSource] = {}
    for name in suites:
        if not having:
            raise Refusal(SUITE_NOT_FOUND, name, "no source of kernels on this host has suites")
        for source in having:
            for one in source.suites if name == EVERY else (name,):
                other = source.of_suite(one)
                found[other.name] = other
    return list(found.values())


def _survey_each(
    sources: Sequence[KernelSource], *, refresh: bool
) -> tuple[list[Survey], list[Refusal]]:
    """Return the surveys of the sources, and the refusals of those that failed: one failure does
    not hide the kernels of another source."""
    surveys, refusals = [], []
    for source in sources:
        try:
            surveys.append(source.survey(refresh=refresh))
        except Refusal as refusal:
            refusals.append(refusal)
    return surveys, refusals


def _joined(surveys: Sequence[Survey], refusals: Sequence[Refusal]) -> Survey:
    """Return one survey of several: each kernel once, from the first that offers it, and left out
    only where none offers it."""
    offered: dict[tuple[str, str], Offer] = {}
    left_out: dict[tuple[str, str], UnusableKernel] = {}
    for found in surveys:
        for offer in found.offers:
            offered.setdefault((offer.release, offer.version), offer)
        for unusable in found.left_out:
            left_out.setdefault((unusable.release, unusable.version), unusable)
    return Survey(
        tuple(offered.values()),
        tuple(unusable for key, unusable in left_out.items() if key not in offered),
        tuple(refusals),
    )
