# SPDX-License-Identifier: GPL-2.0-or-later
"""A small fleet for controllers, whose hosts do at once what they are offered."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from suture.fleet.decide import Observed
from suture.fleet.evidence import Gathered
from suture.fleet.hosts import HostReport, HostState
from suture.fleet.plan import RolloutPlan

PLAN = """
patch = "fix"
[[wave]]
ring = "canary"
soak = "1m"
[[wave]]
percent = 50
soak = "1m"
[[wave]]
percent = 100
soak = "1m"
[gate]
silent_after = "1m"
[fail]
action = "roll back"
"""


@dataclass
class ObedientHosts:
    """Hosts that do at once what the file in a directory offers them.

    :ivar bad: canaries crash of it.
    """

    directory: Path
    bad: bool = False
    missing: list[str] = field(default_factory=list)

    def gather(self, plan: RolloutPlan, age: float) -> Gathered:
        path = self.directory / "fix.json"
        offer = json.loads(path.read_text()) if path.exists() else {"load": [], "unload": []}
        reports = [self._report(number, offer) for number in range(20)]
        return Gathered(reports, Observed(missing=tuple(self.missing)))

    def _report(self, number: int, offer: dict[str, Any]) -> HostReport:
        ring = "canary" if number < 4 else ""
        place = number * 500
        loads = any(
            one.get("ring", "-") == ring or place < one.get("percent", 0) * 100
            for one in offer["load"]
        )
        has_it = HostState.IN_FORCE if loads else HostState.WITHOUT
        return HostReport(f"h{number}", place, 1.0, has_it, ring, crashes=int(self.bad and loads))


class Ticking:
    """A clock that goes on by a minute whenever it is looked at."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        self.now += 60
        return self.now
