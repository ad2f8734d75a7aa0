# SPDX-License-Identifier: GPL-2.0-or-later
"""What is decided for a rollout, example by example; `test_rollouts.py` has whole rollouts."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from suture.errors import Refusal
from suture.fleet import rollout
from suture.fleet.decide import LONGEST_TICK, Observed, RolloutStep, StepKind, decide
from suture.fleet.hosts import HostReport, HostState, place_of
from suture.fleet.plan import PLACES, FailAction, RolloutGate, RolloutPlan, Wave
from suture.fleet.rollout import RolloutOffer, RolloutPhase, RolloutState
from tests.examples import shows

PLAN = RolloutPlan(
    "fix",
    (Wave("canary", ring="canary", soak=100), Wave("5 %", percent=5), Wave("100 %", percent=100)),
    RolloutGate(alerts=("HostDown",), queries=("up > 0",)),
    patience=3600,
)
FINE = Observed(queries={"up > 0": True})
NOW = 1_000_000.0


def canaries(number: int = 10, **said: object) -> list[HostReport]:
    return [
        replace(HostReport(f"c{i}", PLACES - 1, 10.0, HostState.IN_FORCE, "canary"), **said)  # type: ignore[arg-type]
        for i in range(number)
    ]


def others(number: int = 90) -> list[HostReport]:
    return [HostReport(f"o{i}", i * PLACES // number, 10.0) for i in range(number)]


CANARY = RolloutState(offer=RolloutOffer(1), serial=1, performed=1, clock=NOW, elapsed=50.0)


def step(
    state: RolloutState = CANARY,
    reports: list[HostReport] | None = None,
    observed: Observed = FINE,
    *,
    plan: RolloutPlan = PLAN,
    after: float = 10.0,
) -> RolloutStep:
    found = canaries() if reports is None else reports
    return decide(plan, state, [*found, *others()], observed, NOW + after)


def test_the_first_wave_is_offered_then_performed_then_waited_for() -> None:
    first = step(RolloutState(), canaries(state=HostState.WITHOUT))
    assert (first.kind, first.state.offer, first.state.serial) == ("write", RolloutOffer(1), 1)
    second = step(first.state, canaries(state=HostState.WITHOUT))
    assert (second.kind, second.state) == (StepKind.PERFORM, first.state)
    third = step(rollout.performed(first.state), canaries(state=HostState.WITHOUT))
    assert third.kind is StepKind.WRITE
    assert third.state.offer == RolloutOffer(1)
    assert third.state.why == "0 of 10 hosts have it in force"


def test_a_wave_soaks_as_long_as_it_is_looked_at() -> None:
    state = CANARY
    for number in range(1, 10):
        state = step(state, after=number * 10.0).state
        assert (state.soaked, state.offer.waves) == (number * 10.0, 1)
    assert state.why == "canary soaks: 90 of 100 s"
    state = step(state, after=100.0).state
    assert state.offer == RolloutOffer(2)
    assert (state.serial, state.performed, state.soaked, state.elapsed) == (2, 1, 0.0, 0.0)


@pytest.mark.parametrize(("jump", "counted"), [(1e6, LONGEST_TICK), (-5e5, 0.0)])
def test_a_clock_that_jumps_makes_nothing_soak(jump: float, counted: float) -> None:
    assert step(after=jump).state.soaked == counted
    assert step(step(after=jump).state, after=jump + 5).state.soaked == counted + 5


def test_silence_is_no_success() -> None:
    reports = [*canaries(9), replace(canaries(1)[0], host="s", age=1e5, state=HostState.WITHOUT)]
    assert step(reports=reports).state.why == "1 of 10 hosts are silent"
    assert step(reports=reports).state.soaked == 0.0
    assert step(reports=[]).state.why == "no host of the wave is known"
    late = step(replace(CANARY, elapsed=3700.0), reports)
    assert late.state.phase is RolloutPhase.HALTED
    assert late.state.why == "after 3710 s, 1 of 10 hosts are silent"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"state": HostState.FAILED, "failure": "data-changed"}, "1 of 10 hosts have failed"),
        ({"age": 1e5}, "1 of 10 hosts have failed, 1 of them silent since they had it"),
        ({"crashes": 1}, "1 crashes after loading"),
        ({"complaints": 2}, "2 complaints in the logs of kernels"),
    ],
)
def test_a_broken_limit_halts(said: dict[str, object], why: str) -> None:
    reports = [*canaries(9), *canaries(1, host="bad", **said)]
    found = step(reports=reports)
    assert found.kind is StepKind.WRITE
    assert (found.state.phase, found.state.why) == (RolloutPhase.HALTED, why)
    assert found.state.offer == RolloutOffer(1, held=True)
    assert not found.state.is_performed
    after = step(found.state, reports)
    assert (after.kind, after.state) == (StepKind.PERFORM, found.state)
    assert step(rollout.performed(after.state), reports).kind is StepKind.NOTHING


def test_failures_of_hosts_that_are_not_chosen_are_none() -> None:
    reports = [*canaries(), HostReport("bad", PLACES - 1, 1.0, HostState.FAILED, crashes=3)]
    assert step(reports=reports).state.phase is RolloutPhase.RUNNING


def test_a_failure_is_not_forgotten_when_the_host_falls_silent() -> None:
    """The limit is over the whole rollout: one today and one tomorrow are two."""
    plan = replace(PLAN, gate=replace(PLAN.gate, failed_share=0.1, failed_number=5))
    one = [*canaries(9), *canaries(1, host="one", state=HostState.FAILED)]
    state = step(reports=one, plan=plan).state
    assert (state.phase, state.failed) == (RolloutPhase.RUNNING, {"one": 0})
    two = [*canaries(9), *canaries(1, host="two", state=HostState.FAILED)]
    assert step(state, two, plan=plan).state.why == "2 of 10 hosts have failed"


def test_failures_of_canaries_count_against_canaries_however_many_have_it_by_now() -> None:
    reports = [*canaries(9), *canaries(1, host="bad", age=1e5)]
    reports += [replace(report, state=HostState.IN_FORCE) for report in others(1000)]
    found = decide(PLAN, replace(CANARY, offer=RolloutOffer(3)), reports, FINE, NOW)
    why = "1 of 10 hosts up to canary have failed, 1 of them silent since they had it"
    assert found.state.why == why


def test_the_number_of_failures_is_limited_as_is_their_share() -> None:
    plan = replace(PLAN, gate=replace(PLAN.gate, failed_share=0.5, failed_number=2))
    reports = [*canaries(7), *canaries(3, state=HostState.FAILED)]
    reports = [replace(report, host=f"h{i}") for i, report in enumerate(reports)]
    assert step(reports=reports, plan=plan).state.why == "3 of 10 hosts have failed"


def test_a_slow_transition_has_failed() -> None:
    plan = replace(PLAN, gate=replace(PLAN.gate, transition=60.0))
    assert step(reports=canaries(transition=60.0), plan=plan).state.phase is RolloutPhase.RUNNING
    assert step(reports=canaries(transition=61.0), plan=plan).state.phase is RolloutPhase.HALTED


def test_alerts_and_queries_halt_even_before_the_first_wave() -> None:
    for observed, why in (
        (Observed(frozenset({"HostDown", "Other"}), FINE.queries), "the alert HostDown fires"),
        (Observed(queries={"up > 0": False}), "this does not hold: up > 0"),
    ):
        for state in (RolloutState(), CANARY, replace(CANARY, paused=True)):
            found = step(state, observed=observed).state
            assert (found.phase, found.why) == (RolloutPhase.HALTED, why)
    unasked = Observed(frozenset({"Other"}), FINE.queries)
    assert step(observed=unasked).state.phase is RolloutPhase.RUNNING


def test_a_halt_comes_before_an_offer_that_was_not_performed() -> None:
    waiting = replace(CANARY, offer=RolloutOffer(2), serial=2)
    found = step(waiting, canaries(crashes=1))
    assert found.kind is StepKind.WRITE
    assert found.state.offer == RolloutOffer(2, held=True)
    assert found.state.serial == 3


def test_without_evidence_nothing_goes_on_and_after_a_while_it_halts() -> None:
    blind = Observed(missing=("Prometheus does not answer",))
    state = step(replace(CANARY, soaked=99.0), observed=blind).state
    assert (state.offer.waves, state.soaked, state.blind) == (1, 99.0, 10.0)
    assert state.why == "no evidence: Prometheus does not answer"
    seen = step(state, after=20.0).state
    assert (seen.blind, seen.offer.waves) == (0.0, 2)
    state = replace(CANARY, blind=595.0)
    assert step(state, observed=blind).state.phase is RolloutPhase.HALTED


def test_a_pause_keeps_the_wave_and_its_time() -> None:
    state = rollout.paused(replace(CANARY, soaked=99.0), "by ann")
    for number in range(1, 5):
        state = step(state, after=number * 60.0).state
        assert (state.offer, state.soaked, state.elapsed) == (RolloutOffer(1), 99.0, 50.0)
    assert step(rollout.resumed(state, ""), after=250.0).state.offer == RolloutOffer(2)


def test_an_operator_goes_on_after_a_halt() -> None:
    bad = [*canaries(9), *canaries(1, host="bad", state=HostState.FAILED, crashes=1, complaints=1)]
    state = rollout.performed(step(reports=bad).state)
    state = rollout.resumed(state, "by ann: it had no disk")
    assert state.offer == RolloutOffer(1)
    state = rollout.performed(step(state, bad).state)
    assert step(state, bad).state.phase is RolloutPhase.RUNNING
    worse = [*bad, *canaries(1, host="worse", state=HostState.FAILED)]
    assert step(state, worse).state.phase is RolloutPhase.HALTED


def test_a_rollback_goes_in_the_order_of_waves_and_ends_when_no_host_has_it() -> None:
    plan = replace(PLAN, action=FailAction.ROLL_BACK)
    state = replace(CANARY, offer=RolloutOffer(3))
    with_it = canaries(crashes=1)
    offers = []
    for number in range(20):
        found = step(state, with_it, plan=plan, after=number * 10.0)
        state = found.state
        if found.kind is StepKind.PERFORM:
            offers.append(state.offer)
            state = rollout.performed(state)
        if number == 15:
            assert state.phase is RolloutPhase.ROLLING_BACK
            with_it = canaries(crashes=1, state=HostState.WITHOUT)
            with_it += canaries(1, host="gone", age=1e5)
    assert offers == [RolloutOffer(3, held=True, undone=undone) for undone in range(4)]
    assert state.phase is RolloutPhase.ROLLED_BACK
    assert step(state, plan=plan).kind is StepKind.NOTHING


def test_an_operator_halts_and_nothing_is_rolled_back_by_itself() -> None:
    plan = replace(PLAN, action=FailAction.ROLL_BACK)
    state = rollout.performed(rollout.halted(CANARY, "by ann"))
    assert step(state, plan=plan).kind is StepKind.NOTHING
    back = step(rollout.performed(rollout.rolled_back(state, "by ann")), plan=plan).state
    assert (back.phase, back.offer.undone) == (RolloutPhase.ROLLING_BACK, 1)


def test_nothing_was_offered_and_nothing_is_rolled_back() -> None:
    plan = replace(PLAN, action=FailAction.ROLL_BACK)
    halted = step(RolloutState(), observed=Observed(frozenset({"HostDown"})), plan=plan).state
    assert halted.phase is RolloutPhase.HALTED
    assert step(rollout.performed(halted), plan=plan).kind is StepKind.NOTHING
    state = rollout.performed(rollout.rolled_back(halted, ""))
    assert step(state, plan=plan).state.phase is RolloutPhase.ROLLED_BACK


def test_the_end() -> None:
    state = replace(CANARY, offer=RolloutOffer(3))
    reports = [replace(report, state=HostState.IN_FORCE) for report in others()]
    state = replace(state, soaked=PLAN.waves[2].soak)
    found = decide(PLAN, state, [*canaries(), *reports], FINE, NOW)
    assert found.state.phase is RolloutPhase.DONE
    assert decide(PLAN, found.state, reports, FINE, NOW).kind is StepKind.NOTHING
    assert rollout.rolled_back(found.state, "").phase is RolloutPhase.ROLLING_BACK


@pytest.mark.parametrize("change", [rollout.paused, rollout.resumed, rollout.halted])
def test_what_cannot_be_done_any_more(change: object) -> None:
    state = replace(CANARY, phase=RolloutPhase.ROLLED_BACK)
    with pytest.raises(Refusal, match="rollout-state-wrong") as caught:
        change(state, "")  # type: ignore[operator]
    if change is rollout.halted:
        shows(caught.value, "rollout-state-wrong")


def test_a_state_is_stored_and_read_again() -> None:
    state = replace(CANARY, failed={"b": 0, "a": 1}, known=frozenset({"c"}), why="ä")
    stored = json.loads(json.dumps(rollout.document(state)))
    assert rollout.from_document(stored, "key") == state


@pytest.mark.parametrize(
    "change",
    [
        {"phase": "none"},
        {"offer": None},
        {"serial": "1"},
        {"other": 1},
        {"failed": 3},
        {"clock": 10**400},
        {"soaked": float("nan")},
    ],
)
def test_a_damaged_state_is_refused(change: dict[str, object]) -> None:
    stored = rollout.document(CANARY) | change
    with pytest.raises(Refusal, match="state-damaged"):
        rollout.from_document(json.loads(json.dumps(stored)), "key")
    nothings: tuple[object, ...] = (None, [], {}, "state")
    for nothing in nothings:
        with pytest.raises(Refusal, match="state-damaged"):
            rollout.from_document(nothing, "key")


def test_places_are_spread_evenly_and_by_the_salt() -> None:
    first = [place_of(f"host-{i}", "a") < 500 for i in range(20_000)]
    second = [place_of(f"host-{i}", "b") < 500 for i in range(20_000)]
    both = sum(a and b for a, b in zip(first, second, strict=True))
    assert 900 < sum(first) < 1100
    assert 900 < sum(second) < 1100
    assert both < 100
