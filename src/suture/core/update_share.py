# SPDX-License-Identifier: GPL-2.0-or-later
"""How many of a newer version's CVE fixes a live patch has, of those that reach this host."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from suture.model import Update, is_run


@dataclass(frozen=True, slots=True)
class UpdateShare:
    """The CVE numbers whose fixes are in code that this host runs: the core kernel, and the modules
    that are loaded now.

    :ivar version: the newer version of the kernel's packages.
    :ivar had: the numbers whose fixes the live patch has, sorted.
    :ivar lacking: the others, sorted, and why.
    """

    version: str
    had: tuple[str, ...]
    lacking: dict[str, str]

    def __str__(self) -> str:
        total = len(self.had) + len(self.lacking)
        had = f"{len(self.had)} of the {total} CVE fixes of {self.version} that reach this host"
        if not self.lacking:
            return had
        return f"{had}; {len(self.lacking)} need a reboot into {self.version} or later"


def share(update: Update, loaded: Collection[str]) -> UpdateShare:
    """Return a host's share of an update.

    A number with several fixes is had with all of them.

    :param loaded: the names of the modules in memory.
    """
    had: set[str] = set()
    lacking: dict[str, str] = {}
    for fix in update.fixes:
        if not is_run(fix.objects, loaded):
            continue
        if fix.lacks:
            lacking |= dict.fromkeys(fix.cves, fix.lacks)
        else:
            had |= set(fix.cves)
    return UpdateShare(
        update.new, tuple(sorted(had - lacking.keys())), dict(sorted(lacking.items()))
    )
