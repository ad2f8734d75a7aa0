# SPDX-License-Identifier: GPL-2.0-or-later
"""Decides the next step of a rollout: a function of values, without a clock, a network or a store.

In this order:

1. Halt, if a limit of the gate is broken.  Nothing goes before that.
2. Perform the offer, if that has not happened.
3. Go on: offer the next wave, or roll the next one back, or end, or wait.

Time is what was looked at: each step counts the seconds since the one before, but never more than
`LONGEST_TICK`, and never fewer than none.  So a clock that jumps, or another leader with another
clock, makes no soak time pass that nobody has watched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from suture.fleet.hosts import HostReport
from suture.fleet.plan import MOST_FAILED, FailAction, RolloutGate, RolloutPlan
from suture.fleet.rollout import RolloutPhase, RolloutState, halted, offering
from suture.fleet.tally import Tally, tally

LONGEST_TICK = 60.0
"""Seconds; controllers look more often."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What is known besides the reports of hosts.

    :ivar alerts: the names of those that fire.
    :ivar queries: query -> whether it holds.
    :ivar missing: what could not be found out, and why, for people; without anything there, all
        that a plan asks for is known.
    """

    alerts: frozenset[str] = frozenset()
    queries: Mapping[str, bool] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


class StepKind(StrEnum):
    """What a controller does with a step."""

    WRITE = "write"  # exchange the state for the new one
    PERFORM = "perform"  # offer what the state says, then record it
    NOTHING = "nothing"  # it is over


@dataclass(frozen=True, slots=True)
class RolloutStep:
    """The next step.

    :ivar state: to be written; of `StepKind.PERFORM`, the one to be performed.
    :ivar tally: what it was decided by.
    """

    kind: StepKind
    state: RolloutState
    tally: Tally


def decide(
    plan: RolloutPlan,
    state: RolloutState,
    reports: Sequence[HostReport],
    observed: Observed,
    now: float,
) -> RolloutStep:
    """Decide the next step.

    :param now: seconds since the epoch, as this controller believes.
    """
    count = tally(reports, plan.waves[: state.offer.waves], plan.gate, state.known)
    tick = min(max(now - state.clock, 0.0), LONGEST_TICK) if state.clock else 0.0
    seen = replace(_looked(state, count, observed, tick), clock=now)
    if state.phase is RolloutPhase.RUNNING:
        broken = _broken(plan, seen, count, observed)
        if broken:
            rolls_back = plan.action is FailAction.ROLL_BACK and state.offer.waves > 0
            failed = _some({**seen.failed, **count.lost})
            after = halted(replace(seen, failed=failed), broken, rolls_back=rolls_back)
            return RolloutStep(StepKind.WRITE, after, count)
    if not state.is_performed:
        return RolloutStep(StepKind.PERFORM, state, count)
    if state.is_over:
        return RolloutStep(StepKind.NOTHING, state, count)
    match state.phase:
        case RolloutPhase.RUNNING:
            after = _forward(plan, seen, count, observed, tick)
        case RolloutPhase.HALTED:
            after = _back(replace(seen, phase=RolloutPhase.ROLLING_BACK, rolls_back=False), count)
        case _:
            after = _back(seen, count)
    return RolloutStep(StepKind.WRITE, after, count)


def _looked(state: RolloutState, count: Tally, observed: Observed, tick: float) -> RolloutState:
    """Return the state with what this look adds to it, and nothing decided.

    :param tick: seconds since the last one.
    """
    return replace(
        state,
        elapsed=state.elapsed if state.paused else state.elapsed + tick,
        blind=state.blind + tick if observed.missing else 0.0,
        failed=_some({**state.failed, **count.failed}),
        complaints=max(state.complaints, count.complaints),
        crashes=max(state.crashes, count.crashes),
        hosts=count.hosts,
        in_force=count.in_force,
        silent=count.silent,
    )


def _broken(plan: RolloutPlan, seen: RolloutState, count: Tally, observed: Observed) -> str:
    """Return which limit is broken, for people; "" for none."""
    gate = plan.gate
    firing = sorted(observed.alerts & set(gate.alerts))
    if firing:
        return f"the alert {firing[0]} fires"
    untrue = [query for query in gate.queries if observed.queries.get(query) is False]
    if untrue:
        return f"this does not hold: {untrue[0]}"
    if gate.crashes is not None and seen.crashes - seen.known_crashes > gate.crashes:
        return f"{seen.crashes - seen.known_crashes} crashes after loading"
    if gate.complaints is not None and seen.complaints - seen.known_complaints > gate.complaints:
        return f"{seen.complaints - seen.known_complaints} complaints in the logs of kernels"
    failed = _failed(plan, seen, count)
    if failed:
        return failed
    if observed.missing and seen.blind > gate.blind:
        return f"no evidence for {seen.blind:.0f} s: {observed.missing[0]}"
    if seen.offer.waves and seen.elapsed > plan.patience + _soak(plan, seen):
        return f"after {seen.elapsed:.0f} s, {_lacking(gate, count) or 'it has not soaked'}"
    return ""


def _failed(plan: RolloutPlan, seen: RolloutState, count: Tally) -> str:
    """Return what is wrong with the hosts that failed, for people; "" where they may be so many.

    The share is looked at for the hosts up to each wave: of those that had the live patch first,
    few are enough, however many have it by now.
    """
    found = {**seen.failed, **count.lost}
    for number, hosts in enumerate(count.by_wave):
        failed = [host for host, wave in found.items() if wave <= number]
        if len(failed) > min(plan.gate.failed_number, int(plan.gate.failed_share * hosts + 1e-9)):
            silent = sum(host in count.lost for host in failed)
            lost = f", {silent} of them silent since they had it" if silent else ""
            until = f" up to {plan.waves[number].name}" if number + 1 < len(count.by_wave) else ""
            return f"{len(failed)} of {hosts} hosts{until} have failed{lost}"
    return ""


def _some(failed: Mapping[str, int]) -> Mapping[str, int]:
    """Return as many as the shared state may have; more than that were always too many."""
    return dict(sorted(failed.items())[:MOST_FAILED]) if len(failed) > MOST_FAILED else failed


def _lacking(gate: RolloutGate, count: Tally) -> str:
    """Return what keeps a wave from soaking, for people; "" for nothing."""
    if not count.hosts:
        return "no host of the wave is known"
    if count.reporting < gate.reporting:
        return f"{count.silent} of {count.hosts} hosts are silent"
    if count.adopted < gate.adopted:
        return f"{count.in_force} of {count.hosts} hosts have it in force"
    return ""


def _soak(plan: RolloutPlan, state: RolloutState) -> float:
    return plan.waves[state.offer.waves - 1].soak if state.offer.waves else 0.0


def _forward(
    plan: RolloutPlan, seen: RolloutState, count: Tally, observed: Observed, tick: float
) -> RolloutState:
    """Go on to the next wave, or say why not."""
    if seen.paused:
        return seen
    if observed.missing:
        return replace(seen, why=f"no evidence: {observed.missing[0]}")
    if seen.offer.waves:
        lacking = _lacking(plan.gate, count)
        if lacking:
            return replace(seen, why=lacking)
        soaked, soak = seen.soaked + tick, _soak(plan, seen)
        if soaked < soak:
            name = plan.waves[seen.offer.waves - 1].name
            return replace(seen, soaked=soaked, why=f"{name} soaks: {soaked:.0f} of {soak:.0f} s")
    if seen.offer.waves == len(plan.waves):
        return replace(seen, phase=RolloutPhase.DONE, why="")
    wave = plan.waves[seen.offer.waves]
    after = offering(seen, replace(seen.offer, waves=seen.offer.waves + 1))
    return replace(after, elapsed=0.0, soaked=0.0, why=f"{wave.name} is offered it")


def _back(seen: RolloutState, count: Tally) -> RolloutState:
    """Roll the next wave back, in the order in which they were offered it, or wait for hosts."""
    offer = seen.offer
    if offer.undone < offer.waves:
        return offering(seen, replace(offer, held=True, undone=offer.undone + 1))
    if count.reachable_with:
        return seen
    return replace(seen, phase=RolloutPhase.ROLLED_BACK)
