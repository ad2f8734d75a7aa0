# SPDX-License-Identifier: GPL-2.0-or-later
"""What a rollout is decided by: the reports of hosts, alerts, and queries of the plan's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from suture.fleet.decide import Observed
from suture.fleet.hosts import HostReport
from suture.fleet.plan import RolloutPlan


@dataclass(frozen=True, slots=True)
class Gathered:
    """All of it, as of one moment."""

    reports: Sequence[HostReport]
    observed: Observed


class Evidence(Protocol):
    """Where it comes from."""

    def gather(self, plan: RolloutPlan, age: float) -> Gathered:
        """Look.  What cannot be found out is said in `Observed.missing`; nothing is raised for it.

        :param age: seconds since the rollout began.
        """
