# SPDX-License-Identifier: GPL-2.0-or-later
"""The sources that Suture knows, and one survey of all of them."""

from __future__ import annotations

from collections.abc import Sequence

from suture.errors import ARCHIVE_UNREACHABLE, Refusal
from suture.host.progress import step
from suture.sources.debian import DebianArchives
from suture.sources.source import KernelSource, Offer, Survey

SOURCES: tuple[KernelSource, ...] = (DebianArchives(),)
"""In order of preference: if two offer one release, the first one's counts."""


def offers() -> tuple[Offer, ...]:
    """Return the kernels that can be fetched, in the order of `survey`.

    :raises Refusal: as `survey`
    """
    return survey().offers


def survey() -> Survey:
    """Survey every source for which this host has the programs.

    :raises Refusal: ``archive-unreachable`` (no source names a kernel), ``tool-missing`` (no source
        has its programs here)
    """
    available = [source for source in SOURCES if source.is_available()] or SOURCES[:1]
    names = ", ".join(source.name for source in available)
    with step("Looking for kernels", names):
        surveys, refusals = _survey_each(available)
    if not any(found.offers or found.left_out for found in surveys):
        if refusals:
            raise refusals[0]
        refresh = " && ".join(source.refresh for source in available if source.refresh)
        raise Refusal(
            ARCHIVE_UNREACHABLE,
            names,
            "its package lists have no kernel image",
            remedy=f"Check the configured archives, run '{refresh}', and run the same command "
            "again.",
        )
    return Survey(
        tuple(offer for found in surveys for offer in found.offers),
        tuple(left_out for found in surveys for left_out in found.left_out),
        tuple(refusals),
    )


def _survey_each(sources: Sequence[KernelSource]) -> tuple[list[Survey], list[Refusal]]:
    """Return the surveys of the sources, and the refusals of those that failed: one failure does
    not hide the kernels of another source."""
    surveys, refusals = [], []
    for source in sources:
        try:
            surveys.append(source.survey())
        except Refusal as refusal:
            refusals.append(refusal)
    return surveys, refusals
