# SPDX-License-Identifier: GPL-2.0-or-later
"""Controllers that are killed (SIGKILL) at every call of the store and of the promoter."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from suture.fleet import rollout
from suture.fleet.controller import Controller
from suture.fleet.plan import RolloutPlan
from suture.fleet.promoter import OfferDirectory
from suture.fleet.rollout import RolloutPhase
from suture.fleet.rollouts import Rollouts
from suture.fleet.sqlite import SqliteState
from suture.fleet.state import SharedState
from tests.obedient_hosts import PLAN, ObedientHosts, Ticking


def run_to_its_end(made: Controller, state: SharedState) -> None:
    for _ in range(200):
        made.look()
        if Rollouts(state).get("fix").state.is_over:
            return
    raise AssertionError(Rollouts(state).get("fix").state)


class Dying:
    """Stands before a store or a promoter, and kills its process before or after a call."""

    def __init__(self, served: object, moment: Callable[[], None]) -> None:
        self._served, self._moment = served, moment

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._served, name)
        if not callable(found):
            return found

        def call(*words: Any, **named: Any) -> Any:
            self._moment()
            result = found(*words, **named)
            self._moment()
            return result

        return call


def in_a_process_that_is_killed(directory: Path, at: int, *, bad: bool) -> bool:
    """Run a controller, kill it at the given moment, and tell whether it came to that."""
    child = os.fork()
    if child == 0:
        try:
            moments = count(1)

            def moment() -> None:
                if next(moments) == at:
                    os.kill(os.getpid(), signal.SIGKILL)

            state: Any = Dying(SqliteState(directory / "state.db"), moment)
            promoter: Any = Dying(Recorded(directory), moment)
            evidence = ObedientHosts(directory, bad)
            made = Controller(Rollouts(state), evidence, promoter, clock=Ticking())
            run_to_its_end(made, SqliteState(directory / "state.db"))
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL)
    return status != 0


class Recorded(OfferDirectory):
    """Writes down which offers were really brought, one after the other."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._path = directory / "brought"

    def perform(
        self, name: str, plan: RolloutPlan, offer: rollout.RolloutOffer, serial: int
    ) -> None:
        before = self._last(self._directory / f"{name}.json")
        super().perform(name, plan, offer, serial)
        if self._last(self._directory / f"{name}.json") != before:
            with self._path.open("a") as file:
                file.write(f"{serial} {offer.waves} {offer.held} {offer.undone}\n")


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Path]:
    """A directory for thousands of writes that are made durable."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as directory:
        yield Path(directory)


GOOD = ["1 1 False 0", "2 2 False 0", "3 3 False 0"]
BAD = ["1 1 False 0", "2 1 True 0", "3 1 True 1"]


@pytest.mark.parametrize(("bad", "expected"), [(False, GOOD), (True, BAD)])
def test_killed_between_any_two_steps(bad: bool, expected: list[str], in_memory: Path) -> None:
    """At every call of the store and of the promoter, before it and after it."""
    for at in count(1):
        directory = in_memory / str(at)
        directory.mkdir()
        Rollouts(SqliteState(directory / "state.db")).start("fix", PLAN, "plan.toml")
        was_killed = in_a_process_that_is_killed(directory, at, bad=bad)
        if was_killed:
            assert not in_a_process_that_is_killed(directory, -1, bad=bad)
        found = Rollouts(SqliteState(directory / "state.db")).get("fix").state
        assert found.phase is (RolloutPhase.ROLLED_BACK if bad else RolloutPhase.DONE)
        brought = (directory / "brought").read_text().splitlines()
        # Whoever was killed within the promoter may have brought it and not written that down.
        assert [line for line in expected if line in brought or not was_killed] == brought
        assert len(brought) >= len(expected) - 1
        if not was_killed:
            break
    assert at > 20
