# SPDX-License-Identifier: GPL-2.0-or-later
"""Controllers: what they do goes on from wherever one was killed, and is done once."""

from __future__ import annotations

import json
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from suture.errors import Refusal
from suture.fleet import rollout
from suture.fleet.controller import Controller
from suture.fleet.evidence import Gathered
from suture.fleet.leading import KEY, Leading
from suture.fleet.plan import RolloutPlan
from suture.fleet.promoter import OfferDirectory, OfferProgram
from suture.fleet.rollout import RolloutPhase
from suture.fleet.rollouts import PREFIX, Rollouts
from suture.fleet.sqlite import SqliteState
from suture.fleet.state import SharedState
from tests.examples import shows
from tests.obedient_hosts import PLAN, ObedientHosts, Ticking
from tests.servers import PATIENCE


def controller(state: SharedState, directory: Path, *, bad: bool = False) -> Controller:
    evidence = ObedientHosts(directory, bad)
    return Controller(Rollouts(state), evidence, OfferDirectory(directory), clock=Ticking())


def run_to_its_end(made: Controller, state: SharedState) -> None:
    for _ in range(200):
        made.look()
        if Rollouts(state).get("fix").state.is_over:
            return
    raise AssertionError(Rollouts(state).get("fix").state)


def offered(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "fix.json").read_text())
    return found


def test_a_rollout_from_its_start_to_its_end(state: SharedState, tmp_path: Path) -> None:
    rollouts = Rollouts(state)
    try:
        rollouts.start("fix", PLAN, "plan.toml")
        with pytest.raises(Refusal, match="rollout-exists") as caught:
            rollouts.start("fix", PLAN, "plan.toml")
        shows(caught.value, "rollout-exists")
        run_to_its_end(controller(state, tmp_path), state)
        assert rollouts.get("fix").state.phase is RolloutPhase.DONE
        assert offered(tmp_path) == {
            "rollout": "fix",
            "serial": 3,
            "patch": "fix",
            "salt": "fix",
            "held": False,
            "load": [
                {"name": "canary", "ring": "canary"},
                {"name": "50 %", "percent": 50.0},
                {"name": "100 %", "percent": 100.0},
            ],
            "unload": [],
        }
        again = rollouts.start("fix", PLAN, "plan.toml")
        assert (again.state.serial, again.state.offer.waves) == (3, 0)
        run_to_its_end(controller(state, tmp_path), state)
        assert offered(tmp_path)["serial"] == 6
    finally:
        for key, found in state.under(PREFIX).items():
            state.delete(key, found.revision)


def test_a_bad_patch_is_rolled_back_at_the_canaries(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "state.db")
    Rollouts(state).start("fix", PLAN, "plan.toml")
    run_to_its_end(controller(state, tmp_path, bad=True), state)
    found = Rollouts(state).get("fix").state
    assert (found.phase, found.why) == (RolloutPhase.ROLLED_BACK, "4 crashes after loading")
    assert offered(tmp_path)["held"]
    assert offered(tmp_path)["load"] == []
    assert [one["name"] for one in offered(tmp_path)["unload"]] == ["canary"]


def test_an_operator_is_faster_than_the_controller(tmp_path: Path) -> None:
    """It halts between the controller's look and its offer."""
    state = SqliteState(tmp_path / "state.db")
    rollouts = Rollouts(state)
    rollouts.start("fix", PLAN, "plan.toml")
    made = controller(state, tmp_path)
    made.step("fix")  # the first wave is to be offered
    evidence = made._evidence
    gather = evidence.gather

    def slow(plan: RolloutPlan, age: float) -> Gathered:
        evidence.gather = gather  # type: ignore[method-assign]
        found = gather(plan, age)
        rollouts.change("fix", lambda now: rollout.halted(now, "by ann"))
        return found

    evidence.gather = slow  # type: ignore[method-assign]
    assert made.step("fix")
    assert not (tmp_path / "fix.json").exists()
    made.look()
    assert offered(tmp_path)["held"]
    assert rollouts.get("fix").state.phase is RolloutPhase.HALTED


def test_a_halt_waits_for_no_evidence(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "state.db")
    Rollouts(state).start("fix", PLAN, "plan.toml")
    made = controller(state, tmp_path)
    made.look()
    Rollouts(state).change("fix", lambda now: rollout.halted(now, "by ann"))

    def gather(plan: RolloutPlan, age: float) -> Gathered:
        raise AssertionError("it was asked for evidence")

    made._evidence.gather = gather  # type: ignore[method-assign]
    made.look()
    assert offered(tmp_path)["held"]


def test_an_offer_that_fails_is_tried_again(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "state.db")
    Rollouts(state).start("fix", PLAN, "plan.toml")
    (tmp_path / "fix.json").write_text("{}")
    said: list[str] = []
    evidence = ObedientHosts(tmp_path / "elsewhere")
    made = Controller(Rollouts(state), evidence, OfferDirectory(tmp_path), said.append)
    made.look()
    made.look()
    assert not Rollouts(state).get("fix").state.is_performed
    assert "cannot be read" in said[-1]
    assert made.looks["fix"].error.startswith("offer-not-performed")
    (tmp_path / "fix.json").unlink()
    made.look()
    assert Rollouts(state).get("fix").state.is_performed


def test_offers_with_lower_numbers_are_passed_over(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "state.db")
    plan = Rollouts(state).start("fix", PLAN, "plan.toml").plan
    promoter = OfferDirectory(tmp_path)
    promoter.perform("fix", plan, rollout.RolloutOffer(1, held=True), 2)
    promoter.perform("fix", plan, rollout.RolloutOffer(1), 1)
    promoter.perform("fix", plan, rollout.RolloutOffer(1), 2)
    assert offered(tmp_path)["held"]
    assert offered(tmp_path)["serial"] == 2


def test_a_program_gets_the_offer(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "state.db")
    plan = Rollouts(state).start("fix", PLAN, "plan.toml").plan
    program = tmp_path / "promote"
    program.write_text(f"#!/bin/sh\ncat >{tmp_path}/said\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    OfferProgram(program).perform("fix", plan, rollout.RolloutOffer(1), 1)
    assert json.loads((tmp_path / "said").read_text())["load"] == [
        {"name": "canary", "ring": "canary"}
    ]
    program.write_text("#!/bin/sh\necho no such inventory >&2\nexit 4\n")
    with pytest.raises(Refusal, match="offer-not-performed") as caught:
        OfferProgram(program).perform("fix", plan, rollout.RolloutOffer(1), 1)
    assert caught.value.evidence == ("no such inventory",)
    shows(caught.value, "offer-not-performed")


def test_one_leads_and_another_goes_on(state: SharedState) -> None:
    said: list[str] = []
    with Leading(state, "one", said.append, seconds=1.5) as one:
        wait_until(lambda: one.is_leader)
        with Leading(state, "two", said.append, seconds=1.5) as two:
            assert not two.is_leader
            assert state.leader(KEY) == "one"
            one._ending.set()  # as if it had been stopped
            wait_until(lambda: two.is_leader)
            assert not one.is_leader
    assert state.leader(KEY) == ""
    assert said[0] == "one leads"


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_who_cannot_renew_its_lease_leads_no_more(tmp_path: Path) -> None:
    """The store is away for longer than the lease lasts."""
    state = SqliteState(tmp_path / "state.db")
    said: list[str] = []
    with Leading(state, "one", said.append, seconds=1.0) as one:
        wait_until(lambda: one.is_leader)
        with state._transaction(writes=True):  # locks others out
            wait_until(lambda: not one.is_leader)


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b'{"plan": "", "started": 1, "state": {}}'])
def test_a_damaged_rollout_is_left_alone(value: bytes, tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "state.db")
    state.swap(PREFIX + "fix", value, 0)
    with pytest.raises(Refusal, match="state-damaged"):
        Rollouts(state).get("fix")
    said: list[str] = []
    Controller(
        Rollouts(state), ObedientHosts(tmp_path), OfferDirectory(tmp_path), said.append
    ).look()
    assert "cannot be read" in said[0]
    with pytest.raises(Refusal, match="rollout-unknown") as caught:
        Rollouts(state).get("other")
    shows(caught.value, "rollout-unknown")


def test_controllers_run_until_they_are_stopped(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "state.db")
    Rollouts(state).start("fix", PLAN, "plan.toml")
    stopping = threading.Event()
    made = controller(state, tmp_path)
    thread = threading.Thread(target=made.run, args=(lambda: True, stopping, 0.01))
    thread.start()
    wait_until(lambda: Rollouts(SqliteState(tmp_path / "state.db")).get("fix").state.is_over)
    stopping.set()
    thread.join()
