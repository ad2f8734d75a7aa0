# SPDX-License-Identifier: GPL-2.0-or-later
"""What a live patch is for: what its inputs say of themselves, with what the author adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from suture.model import Fix


@dataclass(frozen=True, slots=True)
class Said:
    """What the author says of a live patch as a whole, for inputs that do not or that say less.

    :ivar title: one line.
    :ivar cves: such as ``CVE-2024-1086``.
    :ivar links: web addresses.
    """

    title: str = ""
    cves: tuple[str, ...] = ()
    links: tuple[str, ...] = ()

    def merged_with(self, other: Said) -> Said:
        """Add what another one says; this title wins."""
        cves, links = self.cves + other.cves, self.links + other.links
        return Said(self.title or other.title, _each_once(cves), _each_once(links))


NOTHING_SAID = Said()


def described(said: Said, found: Sequence[Fix], name: str) -> tuple[Fix, ...]:
    """Return what a live patch is for.

    What the author says belongs to the one fix there is.  With several, it stands before them as
    one more; so it does with none.

    :param name: the live patch's, for a fix that has no title.
    """
    if len(found) == 1:
        (fix,) = found
        cves, links = _each_once(fix.cves + said.cves), _each_once(fix.links + said.links)
        return (replace(fix, title=said.title or fix.title, cves=cves, links=links),)
    if said == NOTHING_SAID:
        return tuple(found)
    return Fix(said.title or name, cves=said.cves, links=said.links), *found


def _each_once(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
