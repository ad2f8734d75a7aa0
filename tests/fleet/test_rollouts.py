# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole rollouts over simulated fleets, with the decision code itself: what must never happen, does
not, whoever lies, dies or is killed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bench.fleet_simulation import Behaviour, Patch, Simulation, World
from suture.errors import Refusal
from suture.fleet import rollout
from suture.fleet.decide import Observed
from suture.fleet.plan import FailAction, RolloutGate, RolloutPlan, Wave
from suture.fleet.rollout import RolloutPhase, RolloutState

HOUR = 3600.0

PLAN = RolloutPlan(
    "fix",
    (
        Wave("canary", ring="canary", soak=HOUR),
        Wave("10 %", percent=10, soak=HOUR),
        Wave("100 %", percent=100, soak=HOUR),
    ),
    RolloutGate(
        adopted=0.8, reporting=0.9, failed_share=0.02, alerts=("HostDown",), silent_after=1200
    ),
    patience=12 * HOUR,
    salt="spring",
)
RINGS = {"canary": 0.05}
MIXED = {
    Behaviour.LATE: 0.03,
    Behaviour.SILENT: 0.02,
    Behaviour.FLAPPING: 0.03,
    Behaviour.LYING: 0.02,
    Behaviour.DEAF: 0.02,
}


def world(**others: object) -> World:
    return replace(World(400, RINGS, {}, seed=3), **others)  # type: ignore[arg-type]


def test_a_good_patch_reaches_all_hosts_in_the_order_of_waves() -> None:
    simulation = Simulation(PLAN, world())
    simulation.run(8 * HOUR)
    assert simulation.state.phase is RolloutPhase.DONE
    assert simulation.violations() == []
    assert all(host.has_it for host in simulation.hosts)
    assert [one.offer.waves for one in simulation.offers] == [0, 1, 2, 3]


def test_a_mixed_fleet_is_done_too() -> None:
    waves = tuple(replace(wave, soak=4 * HOUR) for wave in PLAN.waves)
    plan = replace(PLAN, waves=waves, gate=replace(PLAN.gate, silent_after=4 * HOUR))
    simulation = Simulation(plan, world(hosts=150, behaviours=MIXED))
    simulation.run(30 * HOUR)
    assert simulation.state.phase is RolloutPhase.DONE, simulation.state.why
    assert simulation.violations() == []


@pytest.mark.parametrize(
    "patch",
    [Patch(refused=0.3), Patch(deadly=0.3, kills_after=1200), Patch(complaining=0.5)],
    ids=lambda patch: str(patch),
)
def test_a_bad_patch_is_stopped_within_the_canaries(patch: Patch) -> None:
    plan = replace(PLAN, action=FailAction.ROLL_BACK)
    simulation = Simulation(plan, world(patch=patch))
    simulation.run(10 * HOUR)
    assert simulation.state.phase is RolloutPhase.ROLLED_BACK
    assert simulation.violations() == []
    assert max(one.offer.waves for one in simulation.offers) == 1
    assert {host.ring for _, host in simulation.starts} == {"canary"}
    assert simulation.having_it() == []


def test_hosts_that_die_late_stop_a_later_wave() -> None:
    """After the soak time of the canaries, so that no canary can show it in time."""
    plan = replace(PLAN, action=FailAction.ROLL_BACK)
    simulation = Simulation(plan, world(patch=Patch(deadly=0.5, kills_after=6000)))
    simulation.run(20 * HOUR)
    assert simulation.state.phase is RolloutPhase.ROLLED_BACK
    assert simulation.violations() == []
    assert max(one.offer.waves for one in simulation.offers) == 2
    assert simulation.having_it() == []


def test_a_late_offer_of_a_leader_of_old_is_not_performed() -> None:
    """It slept between its decision and the offer, and another has halted meanwhile."""
    simulation = Simulation(PLAN, world())
    while not (simulation.state.offer.waves == 2 and not simulation.state.is_performed):
        simulation.run(10)
    asleep = simulation.state
    simulation.command(lambda state: rollout.halted(state, "by ann"))
    simulation.run(120)
    before = len(simulation.starts)
    simulation.perform(asleep.offer, asleep.serial)
    simulation.run(2 * HOUR)
    assert len(simulation.starts) == before
    assert simulation.violations() == []


SHARES = st.sampled_from([0.0, 0.05, 0.3])


class Rollouts(RuleBasedStateMachine):
    """Anything may happen at any time: to hosts, controllers, clocks, and by operators."""

    @initialize(
        seed=st.integers(0, 1000),
        action=st.sampled_from(FailAction),
        refused=SHARES,
        deadly=SHARES,
        mixed=st.booleans(),
    )
    def begin(
        self, seed: int, action: FailAction, refused: float, deadly: float, mixed: bool
    ) -> None:
        plan = replace(PLAN, action=action)
        behaviours = MIXED if mixed else {}
        patch = Patch(refused, deadly, 1200.0)
        self.simulation = Simulation(plan, World(120, RINGS, behaviours, patch, seed=seed))

    @rule(minutes=st.integers(1, 90))
    def pass_time(self, minutes: int) -> None:
        self.simulation.run(minutes * 60.0)

    @rule(minutes=st.integers(1, 30), between=st.sampled_from(["deciding", "performing"]))
    def controllers_are_killed(self, minutes: int, between: str) -> None:
        self.simulation.kills = lambda now: now == between and self.simulation.chance.random() < 0.7
        self.simulation.run(minutes * 60.0)
        self.simulation.kills = lambda now: False

    @rule(skew=st.sampled_from([-HOUR, 0.0, 30.0, 10 * HOUR]))
    def another_leads(self, skew: float) -> None:
        self.simulation.skew = skew

    @rule(
        observed=st.sampled_from(
            [Observed(), Observed(frozenset({"HostDown"})), Observed(missing=("away",))]
        ),
        minutes=st.integers(1, 15),
    )
    def evidence_changes(self, observed: Observed, minutes: int) -> None:
        self.simulation.observed = observed
        self.simulation.run(minutes * 60.0)
        self.simulation.observed = Observed()

    @rule(
        change=st.sampled_from(
            [rollout.paused, rollout.resumed, rollout.halted, rollout.rolled_back]
        )
    )
    def an_operator(self, change: object) -> None:
        def changed(state: RolloutState) -> RolloutState:
            try:
                return change(state, "by ann")  # type: ignore[no-any-return, operator]
            except Refusal:
                return state

        self.simulation.command(changed)

    @precondition(lambda self: self.simulation.state.phase is RolloutPhase.ROLLING_BACK)
    @rule()
    def a_rollback_reaches_every_host(self) -> None:
        self.simulation.run(8 * HOUR)
        assert self.simulation.having_it() == []

    @invariant()
    def promises_are_kept(self) -> None:
        if hasattr(self, "simulation"):
            assert self.simulation.violations() == []


Rollouts.TestCase.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
TestRollouts = Rollouts.TestCase
