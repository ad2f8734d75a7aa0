# SPDX-License-Identifier: GPL-2.0-or-later
"""The plan of a rollout: who gets a live patch after whom, what must be true before it goes on, and
what is done when it is not.

Waves add up: a host that an earlier wave chose stays chosen.  `suture.fleet.plan_file` reads plans.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PLACES = 10_000
"""Places of hosts in the order of percentages: one hundredth of a percent each."""

MOST_FAILED = 10_000
"""Hosts that have failed are kept by name in the shared state, whose values are not large."""


class FailAction(StrEnum):
    """What follows a halt."""

    HALT = "halt"
    ROLL_BACK = "roll back"


@dataclass(frozen=True, slots=True)
class Wave:
    """Hosts that get the live patch at the same time: one of `ring`, `percent` and `group`.

    :ivar name: for people.
    :ivar ring: the hosts of this ring.
    :ivar percent: the hosts with the first places, of all.
    :ivar group: the hosts of this group.
    :ivar soak: seconds for which the live patch must do well on them before the next wave, or the
        end.
    """

    name: str
    ring: str = ""
    percent: float = 0.0
    group: str = ""
    soak: float = 1800.0

    @property
    def places(self) -> int:
        """How many places the percentage has."""
        return round(self.percent * PLACES / 100)


@dataclass(frozen=True, slots=True)
class RolloutGate:
    """What must be true of all hosts that were chosen so far.

    :ivar reporting: the share of them that must be heard of before the next wave.
    :ivar adopted: the share of them that must have the live patch in force before the next wave.
    :ivar failed_share: the largest share of them that may fail.
    :ivar failed_number: the largest number of them that may fail.
    :ivar transition: seconds after which a transition counts as failed; None for any time.
    :ivar complaints: the largest number of complaints in their kernels' logs; None for any number.
    :ivar crashes: the largest number of boots after loading that nobody asked for; None likewise.
    :ivar alerts: names of alerts of which none may fire.
    :ivar queries: queries of Prometheus', each of which must return something, as comparisons do
        where they hold.
    :ivar silent_after: seconds after which a host that is not heard of is silent.
    :ivar blind: seconds for which there may be no evidence at all.
    """

    reporting: float = 0.95
    adopted: float = 0.9
    failed_share: float = 0.005
    failed_number: int = 20
    transition: float | None = None
    complaints: int | None = 0
    crashes: int | None = 0
    alerts: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()
    silent_after: float = 900.0
    blind: float = 600.0


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """The whole.

    :ivar patch: the name of the live patch.
    :ivar patience: seconds that a wave may take beyond its soak time.
    :ivar salt: makes other hosts the first ones than in another rollout.
    """

    patch: str
    waves: tuple[Wave, ...]
    gate: RolloutGate = RolloutGate()
    action: FailAction = FailAction.HALT
    patience: float = 86_400.0
    salt: str = ""
