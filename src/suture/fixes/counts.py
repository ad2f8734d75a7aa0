# SPDX-License-Identifier: GPL-2.0-or-later
"""The numbers of a list of fixes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from suture.fixes.listing import FixList
from suture.fixes.standing import FixStanding


@dataclass(frozen=True, slots=True)
class FixCounts:
    """Entries, files, and the CVE numbers of some entries.

    :ivar sure: entries with a sure match.
    :ivar unsure: entries for which no file is named.
    :ivar files_of_kernel: changed files that the kernel is built from.
    :ivar cves_of_kernel: numbers of entries that may be in code of the kernel.
    :ivar cves_running: of those that may be in code that the host runs.
    :ivar cves_in_force: of those that a live patch in force names.
    :ivar cves_unsure: of those for which no file is named.
    """

    fixes: int
    cves: int
    sure: int
    unsure: int
    files: int
    files_of_kernel: int
    cves_of_kernel: int
    cves_running: int
    cves_in_force: int
    cves_unsure: int


def counted(found: FixList, every: Sequence[FixStanding]) -> FixCounts:
    """Return the numbers of a list.

    :param every: how a host stands to each fix of it.
    """
    return FixCounts(
        fixes=len(every),
        cves=_cves(every),
        sure=sum(one.fix.certainty.is_sure for one in every),
        unsure=sum(not one.fix.files for one in every),
        files=len(found.files),
        files_of_kernel=sum(bool(one.objects) for one in found.files),
        cves_of_kernel=_cves(one for one in every if one.objects),
        cves_running=_cves(one for one in every if one.runs),
        cves_in_force=_cves(one for one in every if one.in_force),
        cves_unsure=_cves(one for one in every if not one.fix.files),
    )


def _cves(some: Iterable[FixStanding]) -> int:
    return len({cve for one in some for cve in one.fix.cves})
