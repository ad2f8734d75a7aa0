# SPDX-License-Identifier: GPL-2.0-or-later
"""Takes rollouts forward, step by step.

Each step reads the rollout and the evidence, decides (`suture.fleet.decide`), performs an offer
where that is the step, and writes the rollout over the one that it has read.  Where an operator or
another controller was faster, the writing fails, and the next step decides anew.  So it may be
killed at any moment, and any other goes on from there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from suture.errors import Refusal
from suture.fleet import rollout
from suture.fleet.decide import Observed, RolloutStep, StepKind, decide
from suture.fleet.evidence import Evidence, Gathered
from suture.fleet.promoter import Promoter
from suture.fleet.rollout import RolloutPhase
from suture.fleet.rollouts import Rollouts, StoredRollout

INTERVAL = 15.0
"""Seconds between two looks, which must be fewer than `suture.fleet.decide.LONGEST_TICK`."""

AT_ONCE = 250
"""So many steps follow each other without a wait at most: twice as many as plans have waves, and
some."""


@dataclass(frozen=True, slots=True)
class LastLook:
    """What a controller saw last of a rollout.

    :ivar error: why the last step could not be made; "" if it could.
    """

    stored: StoredRollout
    step: RolloutStep | None = None
    missing: tuple[str, ...] = ()
    error: str = ""


class Controller:
    """A controller of all rollouts in a store.

    :ivar looks: rollout -> what was seen of it last.
    :param log: told of what is done, one line each.
    """

    def __init__(
        self,
        rollouts: Rollouts,
        evidence: Evidence,
        promoter: Promoter,
        log: Callable[[str], None] = lambda line: None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rollouts, self._evidence, self._promoter = rollouts, evidence, promoter
        self._log, self._clock = log, clock
        self.looks: dict[str, LastLook] = {}

    def run(
        self,
        is_leader: Callable[[], bool],
        stopping: threading.Event,
        interval: float = INTERVAL,
    ) -> None:
        """Look at all rollouts again and again, while this one leads."""
        while not stopping.is_set():
            if is_leader():
                self.look(is_leader)
                stopping.wait(interval)
            else:
                stopping.wait(min(1.0, interval))

    def look(self, is_leader: Callable[[], bool] = lambda: True) -> None:
        """Make the next steps of all rollouts."""
        try:
            names = list(self._rollouts.all())
        except Refusal as refusal:
            self._log(f"the rollouts cannot be read: {refusal.where}: {refusal.found}")
            return
        self.looks = {name: look for name, look in self.looks.items() if name in names}
        for name in names:
            for _ in range(AT_ONCE):
                if not is_leader() or not self._step_or_log(name):
                    break

    def _step_or_log(self, name: str) -> bool:
        try:
            return self.step(name)
        except Refusal as refusal:
            self._log(f"{name}: {refusal.where}: {refusal.found}")
            earlier = self.looks.get(name)
            if earlier is not None:
                error = f"{refusal.code}: {refusal.found}"
                self.looks[name] = replace(earlier, error=error)
            return False

    def step(self, name: str) -> bool:
        """Make one step of a rollout, and tell whether another is to follow at once.

        :raises Refusal: what the store and the promoter raise
        """
        found = self._rollouts.get(name)
        if found.state.is_over:
            self.looks[name] = LastLook(found)
            return False
        gathered = self._gathered(found)
        observed = gathered.observed
        step = decide(found.plan, found.state, gathered.reports, observed, self._clock())
        self.looks[name] = LastLook(found, step, observed.missing)
        after = step.state
        if step.kind is StepKind.NOTHING:
            return False
        if step.kind is StepKind.PERFORM:
            if self._rollouts.get(name).revision != found.revision:
                return True  # gathering takes its time, and somebody may have halted meanwhile
            self._promoter.perform(name, found.plan, after.offer, after.serial)
            after = rollout.performed(after)
        written = self._rollouts.write(replace(found, state=after))
        if written is None:
            return True
        self._log_change(found, written)
        self.looks[name] = LastLook(written, step, observed.missing)
        now = written.state
        goes_back = now.phase is RolloutPhase.ROLLING_BACK and now.offer.undone < now.offer.waves
        return goes_back or not now.is_performed or now.phase is not found.state.phase

    def _gathered(self, found: StoredRollout) -> Gathered:
        """Look at the evidence, but not before what is halted or rolled back was performed: that
        needs none, and must not wait for a Prometheus that does not answer."""
        if found.state.phase is not RolloutPhase.RUNNING and not found.state.is_performed:
            return Gathered((), Observed())
        return self._evidence.gather(found.plan, max(0.0, self._clock() - found.started))

    def _log_change(self, before: StoredRollout, after: StoredRollout) -> None:
        old, new = before.state, after.state
        if new.phase is not old.phase:
            self._log(f"{after.name}: {new.phase.value}{f': {new.why}' if new.why else ''}")
        elif new.serial != old.serial:
            what = f"rolls back wave {new.offer.undone}" if new.offer.undone else new.why
            self._log(f"{after.name}: {what}")
