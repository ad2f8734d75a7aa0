# SPDX-License-Identifier: GPL-2.0-or-later
"""The rollouts in the shared state: each is one value, its plan and its state, so that every step
of one is one compare-and-swap."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from suture.errors import (
    ROLLOUT_EXISTS,
    ROLLOUT_UNKNOWN,
    STATE_DAMAGED,
    STATE_UNREACHABLE,
    Refusal,
)
from suture.fleet import plan_file, rollout
from suture.fleet.plan import RolloutPlan
from suture.fleet.rollout import RolloutState
from suture.fleet.state import ABSENT, SharedState

PREFIX = "suture/rollouts/"

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

TRIES = 40


@dataclass(frozen=True, slots=True)
class StoredRollout:
    """One rollout as it is stored.

    :ivar text: the plan's TOML, as the operator wrote it.
    :ivar started: seconds since the epoch.
    :ivar revision: of the value.
    """

    name: str
    text: str
    plan: RolloutPlan
    state: RolloutState
    started: float
    revision: int = ABSENT

    def dump(self) -> bytes:
        """Return the value."""
        content = {
            "plan": self.text,
            "started": self.started,
            "state": rollout.document(self.state),
        }
        return json.dumps(content).encode()


class Rollouts:
    """All of them."""

    def __init__(self, state: SharedState) -> None:
        self._state = state

    def start(self, name: str, text: str, where: str) -> StoredRollout:
        """Begin a rollout; its controller does the rest.

        :param text: the plan's TOML.
        :param where: the file that it came from.
        :raises Refusal: ``plan-wrong``, ``rollout-exists``, and those of the store
        """
        plan = plan_file.parse(text, where)
        earlier = self._state.get(PREFIX + name)
        if earlier is not None:
            found = parse(name, earlier.value, earlier.revision)
            if not found.state.is_over:
                raise Refusal(ROLLOUT_EXISTS, name, f"is {found.state.phase.value}")
        # A new one goes on with the numbers of the last: offers with lower ones are passed over.
        serial = found.state.serial if earlier is not None else 0
        state = RolloutState(serial=serial, performed=serial)
        made = StoredRollout(name, text, plan, state, time.time())
        written = self.write(replace(made, revision=earlier.revision if earlier else ABSENT))
        if written is None:
            raise Refusal(ROLLOUT_EXISTS, name, "somebody else has just begun one")
        return written

    def get(self, name: str) -> StoredRollout:
        """Return a rollout.

        :raises Refusal: ``rollout-unknown``, ``state-damaged``, and those of the store
        """
        found = self._state.get(PREFIX + name)
        if found is None:
            raise Refusal(ROLLOUT_UNKNOWN, name, "is no rollout")
        return parse(name, found.value, found.revision)

    def all(self) -> Mapping[str, StoredRollout]:
        """Return all rollouts by name, sorted.

        :raises Refusal: ``state-damaged``, and those of the store
        """
        return {
            key.removeprefix(PREFIX): parse(key.removeprefix(PREFIX), one.value, one.revision)
            for key, one in self._state.under(PREFIX).items()
        }

    def write(self, changed: StoredRollout) -> StoredRollout | None:
        """Write a rollout over the one of the same revision; None where that has changed meanwhile.

        :raises Refusal: those of the store
        """
        revision = self._state.swap(PREFIX + changed.name, changed.dump(), changed.revision)
        return None if revision is None else replace(changed, revision=revision)

    def change(self, name: str, change: Callable[[RolloutState], RolloutState]) -> StoredRollout:
        """Do what an operator asks for.

        :raises Refusal: ``rollout-unknown``, ``rollout-state-wrong``, and those of the store
        """
        for _ in range(TRIES):
            found = self.get(name)
            try:
                changed = change(found.state)
            except Refusal as refusal:
                refusal.where = name
                raise
            after = self.write(replace(found, state=changed))
            if after is not None:
                return after
        raise Refusal(STATE_UNREACHABLE, name, f"it changed {TRIES} times in between")


def parse(name: str, value: bytes, revision: int) -> StoredRollout:
    """Read a rollout.  :raises Refusal: ``state-damaged``, ``plan-wrong``"""
    key = PREFIX + name
    try:
        found = json.loads(value)
        text, started = str(found["plan"]), float(found["started"])
        stored = found["state"]
        if not math.isfinite(started):
            raise ValueError
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise Refusal(STATE_DAMAGED, key, "is no rollout") from None
    state = rollout.from_document(stored, key)
    plan = plan_file.parse(text, key)
    if not 0 <= state.offer.undone <= state.offer.waves <= len(plan.waves):
        raise Refusal(STATE_DAMAGED, key, "its state is not one of its plan")
    return StoredRollout(name, text, plan, state, started, revision)
