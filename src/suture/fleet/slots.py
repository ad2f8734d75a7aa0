# SPDX-License-Identifier: GPL-2.0-or-later
"""Takes, gives back and counts the slots in which hosts reboot, in the shared state.

Every change is one compare-and-swap of the group's semaphore, however many servers there are.  The
number of slots is in the semaphore too and nowhere else, so that a change of it holds for all
servers from the next request on (coreos/airlock issue 81 has what else happens).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from suture.errors import (
    GROUP_UNKNOWN,
    SLOTS_TAKEN,
    STATE_UNREACHABLE,
    Refusal,
)
from suture.fleet import semaphore as semaphores
from suture.fleet.semaphore import Semaphore
from suture.fleet.state import ABSENT, SharedState, Versioned

TRIES = 40
"""After as many changes by others in between, a request is given up."""

PAUSE = 0.005
"""Seconds of the longest wait after the first of these; it doubles up to a hundred times that."""

Result = TypeVar("Result")


class RebootSlots:
    """The slots of all groups."""

    def __init__(self, state: SharedState) -> None:
        self.state = state
        self._changing = threading.Lock()  # threads of one server need not collide in the store

    def groups(self) -> Mapping[str, Semaphore]:
        """Return the semaphores by group, sorted.

        :raises Refusal: ``state-damaged``, and what `SharedState` raises
        """
        named = (
            (semaphores.group_of(key), key, found)
            for key, found in self.state.under(semaphores.GROUPS).items()
        )
        return {group: semaphores.parse(found.value, key) for group, key, found in named if group}

    def take(self, group: str, host: str) -> bool:
        """Let a host have a slot, once, however often it asks.

        :return: whether it is a new one.
        :raises Refusal: ``group-unknown``, ``slots-taken``, ``state-damaged``, and what
            `SharedState` raises
        """
        found, now = self._find(group)
        if host in now.holders:
            return False
        _refuse_full(group, now)

        def taken(now: Semaphore) -> tuple[Semaphore, bool]:
            if host in now.holders:
                return now, False
            _refuse_full(group, now)
            return now.taken_by(host, datetime.now(UTC).isoformat(timespec="seconds")), True

        return self._change(group, taken, found)

    def give_back(self, group: str, host: str) -> bool:
        """Take a host's slot back, if it has one, and tell whether it had.

        :raises Refusal: ``group-unknown``, ``state-damaged``, and what `SharedState` raises
        """
        found, now = self._find(group)
        if host not in now.holders:
            return False
        return self._change(group, lambda now: (now.released_by(host), host in now.holders), found)

    def set_slots(self, group: str, number: int) -> Semaphore:
        """Set how many hosts of a group may reboot at a time; a new group begins with that.

        :raises Refusal: ``state-damaged``, and what `SharedState` raises
        """

        def changed(now: Semaphore) -> tuple[Semaphore, Semaphore]:
            after = Semaphore(number, now.holders, now.since)
            return after, after

        return self._change(group, changed, self.state.get(semaphores.key_of(group)), new=True)

    def _find(self, group: str) -> tuple[Versioned, Semaphore]:
        key = semaphores.key_of(group)
        found = self.state.get(key)
        if found is None:
            raise Refusal(GROUP_UNKNOWN, group, "is no group of this lock server")
        return found, semaphores.parse(found.value, key)

    def _change(
        self,
        group: str,
        change: Callable[[Semaphore], tuple[Semaphore, Result]],
        found: Versioned | None,
        *,
        new: bool = False,
    ) -> Result:
        """Change a semaphore, anew wherever somebody else was faster.

        :param found: what was read just now.
        :param new: the group may not be there.
        """
        key, pause = semaphores.key_of(group), PAUSE
        with self._changing:
            for _ in range(TRIES):
                if found is None and not new:
                    raise Refusal(GROUP_UNKNOWN, group, "is no group of this lock server")
                now = semaphores.parse(found.value, key) if found else Semaphore(0)
                after, result = change(now)
                if found and after == now:
                    return result
                revision = found.revision if found else ABSENT
                if self.state.swap(key, semaphores.dump(after), revision) is not None:
                    return result
                time.sleep(random.uniform(0, pause))
                pause = min(pause * 2, 100 * PAUSE)
                found = self.state.get(key)
        raise Refusal(STATE_UNREACHABLE, key, f"others changed it {TRIES} times in between")


def _refuse_full(group: str, now: Semaphore) -> None:
    if now.is_full:
        found = f"{len(now.holders)} of {now.slots} slots are taken"
        raise Refusal(SLOTS_TAKEN, group, found, evidence=now.holders[:10])
