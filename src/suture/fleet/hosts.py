# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known of each host of a fleet, and which hosts a plan chooses."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from suture.fleet.plan import PLACES, Wave


class HostState(StrEnum):
    """How far a host is with the live patch of a rollout."""

    WITHOUT = "without"
    MOVING = "moving"  # coming into force, or going out of it
    IN_FORCE = "in force"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class HostReport:
    """What was last heard of a host.

    :ivar host: what names it.
    :ivar place: where it is in the order of percentages (`place_of`).
    :ivar age: seconds since it was heard of, by the clock of who has heard of it.
    :ivar failure: the code of the refusal, where it failed.
    :ivar transition: seconds that its transition has taken, or takes already.
    :ivar complaints: in its kernel's log, since it has the live patch.
    :ivar crashes: boots that nobody asked for, since it has the live patch.
    """

    host: str
    place: int
    age: float
    state: HostState = HostState.WITHOUT
    ring: str = ""
    groups: tuple[str, ...] = ()
    failure: str = ""
    transition: float = 0.0
    complaints: int = 0
    crashes: int = 0


class WaveChoice:
    """Which of some waves chooses a host first."""

    def __init__(self, waves: Sequence[Wave]) -> None:
        numbered = list(enumerate(waves))
        self._rings = {wave.ring: number for number, wave in reversed(numbered) if wave.ring}
        self._groups = {wave.group: number for number, wave in reversed(numbered) if wave.group}
        # A plan's percentages grow from wave to wave.
        by_percent = [(wave.places, number) for number, wave in numbered if wave.percent]
        self._places = [places for places, _ in by_percent]
        self._by_place = [number for _, number in by_percent]
        self._none = len(waves)

    def first(self, report: HostReport) -> int:
        """Return the number of the wave, from 0 on; that of all waves where none does."""
        found = self._rings.get(report.ring, self._none)
        index = bisect_right(self._places, report.place)
        if index < len(self._by_place):
            found = min(found, self._by_place[index])
        for group in report.groups:
            found = min(found, self._groups.get(group, self._none))
        return found


def place_of(host: str, salt: str) -> int:
    """Return a host's place: the same for all who know its name and the salt, and evenly spread."""
    digest = hashlib.sha256(f"{salt}\n{host}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % PLACES
