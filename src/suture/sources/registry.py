# SPDX-License-Identifier: GPL-2.0-or-later
"""The sources that Suture knows, asked as one."""

from __future__ import annotations

from collections.abc import Sequence

from suture.errors import ARCHIVE_UNREACHABLE, Refusal
from suture.host.progress import step
from suture.sources.debian import DebianArchives
from suture.sources.source import KernelSource, Offer, Survey

SOURCES: tuple[KernelSource, ...] = (DebianArchives(),)
"""In the order in which they are asked; where two offer one release, the first's counts."""


def offers() -> tuple[Offer, ...]:
    """The kernels that can be fetched, as `survey` orders them.

    :raises Refusal: as `survey`
    """
    return survey().offers


def survey() -> Survey:
    """Ask every source that this host has the programs for.

    :raises Refusal: ``archive-unreachable`` (none names a kernel), ``tool-missing`` (there is no
        program to ask any)
    """
    asked = [source for source in SOURCES if source.is_available()] or SOURCES[:1]
    names = ", ".join(source.name for source in asked)
    with step("Looking for kernels", names):
        surveys, refusals = _ask(asked)
    if not any(found.offers or found.left_out for found in surveys):
        if refusals:
            raise refusals[0]
        refresh = " && ".join(source.refresh for source in asked if source.refresh)
        raise Refusal(
            ARCHIVE_UNREACHABLE,
            names,
            "no kernel image is in its package lists",
            remedy=f"Check the configured archives, run '{refresh}', and run the same command again.",
        )
    return Survey(
        tuple(offer for found in surveys for offer in found.offers),
        tuple(left_out for found in surveys for left_out in found.left_out),
        tuple(refusals),
    )


def _ask(sources: Sequence[KernelSource]) -> tuple[list[Survey], list[Refusal]]:
    """What each answers.  One that cannot answer does not keep the kernels of another from being
    found."""
    surveys, refusals = [], []
    for source in sources:
        try:
            surveys.append(source.survey())
        except Refusal as refusal:
            refusals.append(refusal)
    return surveys, refusals
