# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of a rollout, and what operators may do to it: functions from one state to the next.

What hosts are offered is one value, `RolloutOffer`, with a serial number.  A new one is first
written into the state, then performed, then recorded as performed.  Whoever is killed in between
leaves an offer that is not recorded, and the next performs it again: offers say what is, not what
to do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from suture.errors import ROLLOUT_STATE_WRONG, STATE_DAMAGED, Refusal


class RolloutPhase(StrEnum):
    """Where a rollout is."""

    RUNNING = "running"
    HALTED = "halted"
    ROLLING_BACK = "rolling back"
    ROLLED_BACK = "rolled back"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class RolloutOffer:
    """What hosts are offered.

    :ivar waves: the hosts of this many waves, from the first on, may load the live patch.
    :ivar held: but none may begin to.
    :ivar undone: the hosts of this many waves, from the first on, unload it.
    """

    waves: int = 0
    held: bool = False
    undone: int = 0


@dataclass(frozen=True, slots=True)
class RolloutState:
    """The whole state: what is not in here, no later leader knows.

    :ivar offer: what hosts are to be offered.
    :ivar serial: its number.
    :ivar performed: the number of the offer that was last performed.
    :ivar clock: when this was written, by the writer's clock, which may be wrong.
    :ivar elapsed: seconds in which the wave was looked at since it was offered.
    :ivar soaked: seconds of these in which it was as it should be.
    :ivar blind: seconds without evidence, up to now.
    :ivar failed: hosts that have failed, be it that they are silent now -> the number of the wave
        that chose them, from 0 on.
    :ivar known: hosts that had failed when an operator went on all the same; they count no more.
    :ivar complaints: the most that were counted, as are crashes; of both, how many were known then.
    :ivar hosts: how many the offered waves have, as was seen last; as are the next two.
    :ivar in_force: how many of them have it in force.
    :ivar silent: how many of them are not heard of.
    :ivar rolls_back: it is to be rolled back once it is halted.
    :ivar why: what brought it into this phase, or keeps it from going on; for people.
    """

    phase: RolloutPhase = RolloutPhase.RUNNING
    offer: RolloutOffer = RolloutOffer()
    serial: int = 0
    performed: int = 0
    clock: float = 0.0
    elapsed: float = 0.0
    soaked: float = 0.0
    blind: float = 0.0
    paused: bool = False
    failed: Mapping[str, int] = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    complaints: int = 0
    crashes: int = 0
    known_complaints: int = 0
    known_crashes: int = 0
    hosts: int = 0
    in_force: int = 0
    silent: int = 0
    rolls_back: bool = False
    why: str = ""

    @property
    def is_performed(self) -> bool:
        """Whether hosts are offered what they are to be."""
        return self.performed == self.serial

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be done by itself."""
        over = (RolloutPhase.DONE, RolloutPhase.ROLLED_BACK)
        return self.is_performed and (
            self.phase in over or (self.phase is RolloutPhase.HALTED and not self.rolls_back)
        )


def offering(state: RolloutState, offer: RolloutOffer) -> RolloutState:
    """Return the state with another offer, to be performed."""
    return replace(state, offer=offer, serial=state.serial + 1)


def halted(state: RolloutState, why: str, *, rolls_back: bool = False) -> RolloutState:
    """Halt: no host begins to load any more.

    :raises Refusal: ``rollout-state-wrong``
    """
    _refuse_unless(state, "halted", RolloutPhase.RUNNING, RolloutPhase.HALTED)
    if state.phase is RolloutPhase.HALTED:
        return state
    held = offering(state, replace(state.offer, held=True))
    return replace(held, phase=RolloutPhase.HALTED, rolls_back=rolls_back, why=why)


def rolled_back(state: RolloutState, why: str) -> RolloutState:
    """Begin to roll back; that halts as well.

    :raises Refusal: ``rollout-state-wrong``
    """
    phases = (RolloutPhase.RUNNING, RolloutPhase.HALTED, RolloutPhase.DONE)
    _refuse_unless(state, "rolled back", *phases, RolloutPhase.ROLLING_BACK)
    if state.phase is RolloutPhase.ROLLING_BACK:
        return state
    held = offering(state, replace(state.offer, held=True))
    return replace(
        held, phase=RolloutPhase.ROLLING_BACK, rolls_back=False, paused=False, why=why, elapsed=0.0
    )


def paused(state: RolloutState, why: str) -> RolloutState:
    """Stay at the wave that it is at: its hosts may go on, and no others begin.

    :raises Refusal: ``rollout-state-wrong``
    """
    _refuse_unless(state, "paused", RolloutPhase.RUNNING)
    return replace(state, paused=True, why=why)


def resumed(state: RolloutState, why: str) -> RolloutState:
    """Go on after a pause or a halt.  What has failed until a halt is known then, and counts no
    more.

    :raises Refusal: ``rollout-state-wrong``
    """
    _refuse_unless(state, "resumed", RolloutPhase.RUNNING, RolloutPhase.HALTED)
    if state.phase is RolloutPhase.RUNNING:
        return replace(state, paused=False, why=why)
    free = offering(state, replace(state.offer, held=False))
    return replace(
        free,
        phase=RolloutPhase.RUNNING,
        paused=False,
        failed={},
        known=state.known | state.failed.keys(),
        known_complaints=state.complaints,
        known_crashes=state.crashes,
        elapsed=0.0,
        soaked=0.0,
        blind=0.0,
        rolls_back=False,
        why=why,
    )


def performed(state: RolloutState) -> RolloutState:
    """Record that the offer was performed."""
    return replace(state, performed=state.serial)


def _refuse_unless(state: RolloutState, doing: str, *phases: RolloutPhase) -> None:
    if state.phase not in phases:
        raise Refusal(
            ROLLOUT_STATE_WRONG, "the rollout", f"is {state.phase.value} and cannot be {doing}"
        )


def document(state: RolloutState) -> dict[str, Any]:
    """Return the state as it is stored."""
    return {**asdict(state), "known": sorted(state.known)}


def from_document(found: object, where: str) -> RolloutState:
    """Return the state that was stored.  :raises Refusal: ``state-damaged``"""
    try:
        values: dict[str, Any] = dict(found)  # type: ignore[call-overload]
        offer = RolloutOffer(**values.pop("offer"))
        phase = RolloutPhase(values.pop("phase"))
        known = frozenset(map(str, values.pop("known")))
        failed = {str(host): int(wave) for host, wave in values.pop("failed").items()}
        state = RolloutState(phase=phase, offer=offer, failed=failed, known=known, **values)
        usual = RolloutState(clock=0.5, elapsed=0.5, soaked=0.5, blind=0.5)
        for one, other in ((state, usual), (offer, usual.offer)):
            for name in one.__slots__:
                value, kind = getattr(one, name), type(getattr(other, name))
                if not isinstance(value, (int, float) if kind is float else kind):
                    raise TypeError(name)
                if kind is float and not math.isfinite(value):
                    raise ValueError(name)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        raise Refusal(STATE_DAMAGED, where, "is no state of a rollout") from None
    return state
