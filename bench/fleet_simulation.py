# SPDX-License-Identifier: GPL-2.0-or-later
"""A fleet in virtual time: hosts that poll, load, fail, lie and die, and controllers that are
killed between any two steps, around the decision code of `suture.fleet.decide` itself.

Events stand in a heap by their time; nothing waits.  The simulation knows what each host really
does, so that it can say whether a rollout kept its promises (`Simulation.violations`).
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from suture.fleet.decide import Observed, RolloutStep, StepKind, decide
from suture.fleet.hosts import HostReport, HostState, place_of
from suture.fleet.plan import RolloutPlan
from suture.fleet.rollout import RolloutOffer, RolloutPhase, RolloutState, performed


class Behaviour(StrEnum):
    """What kind of host it is."""

    GOOD = "good"
    LATE = "late"  # polls ten times less often
    SILENT = "silent"  # does all it should, and is never heard of
    FLAPPING = "flapping"  # is heard of every other hour
    LYING = "lying"  # says that it has the live patch, whatever it does
    DEAF = "deaf"  # neither polls nor reports


@dataclass(frozen=True, slots=True)
class Patch:
    """How the live patch does.

    :ivar refused: the share of hosts that refuse it.
    :ivar deadly: the share of hosts that it kills.
    :ivar kills_after: seconds after which it does.
    :ivar complaining: the share of hosts whose kernels complain of it.
    """

    refused: float = 0.0
    deadly: float = 0.0
    kills_after: float = 600.0
    complaining: float = 0.0


@dataclass(frozen=True, slots=True)
class World:
    """What a simulation begins with.

    :ivar rings: ring -> the share of hosts in it; the others are in none.
    :ivar behaviours: behaviour -> its share of the hosts; the others are good.
    :ivar poll: seconds between two polls of a host, of which chance adds up to a fifth.
    :ivar interval: seconds between two looks of the controller.
    :ivar cached: seconds for which hosts see old offers; right before loading, they look again.
    """

    hosts: int
    rings: Mapping[str, float] = field(default_factory=dict)
    behaviours: Mapping[Behaviour, float] = field(default_factory=dict)
    patch: Patch = Patch()
    poll: float = 900.0
    interval: float = 60.0
    cached: float = 30.0
    seed: int = 0


@dataclass(slots=True)
class SimulatedHost:
    """A host as it really is, and what was last heard of it."""

    name: str
    place: int
    ring: str
    behaviour: Behaviour
    luck: float
    has_it: bool = False
    is_moving: bool = False
    is_dead: bool = False
    was_refused: bool = False
    complaints: int = 0
    heard: float = float("-inf")
    said: HostState = HostState.WITHOUT
    said_complaints: int = 0


@dataclass(frozen=True, slots=True)
class PerformedOffer:
    """An offer, and when hosts began to see it."""

    time: float
    serial: int
    offer: RolloutOffer


class Simulation:
    """A rollout over a fleet.

    :ivar starts: when which host began to load.
    :ivar offers: all that were performed.
    """

    def __init__(self, plan: RolloutPlan, world: World) -> None:
        self.plan, self.world = plan, world
        self.now = 0.0
        self.chance = random.Random(world.seed)
        self.state, self.revision = RolloutState(), 0
        self.offers = [PerformedOffer(float("-inf"), 0, RolloutOffer())]
        self.starts: list[tuple[float, SimulatedHost]] = []
        self.skew = 0.0
        self.observed = Observed()
        self.kills: Callable[[str], bool] = lambda between: False
        self.steps: list[RolloutStep] = []
        self.wrong: list[str] = []
        self.hosts = [self._host(number) for number in range(world.hosts)]
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._counter = 0
        for host in self.hosts:
            if host.behaviour is not Behaviour.DEAF:
                self._at(self.chance.uniform(0, world.poll), self._polling(host))
        self._at(0.0, self._look)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = until

    def command(self, change: Callable[[RolloutState], RolloutState]) -> None:
        """Do what an operator asks for."""
        self.state, self.revision = change(self.state), self.revision + 1

    def reports(self) -> list[HostReport]:
        """Return what was last heard of each host that was ever heard of."""
        return [
            HostReport(
                host.name,
                host.place,
                self.now - host.heard,
                host.said,
                host.ring,
                complaints=host.said_complaints,
            )
            for host in self.hosts
            if host.heard >= 0
        ]

    def having_it(self) -> list[SimulatedHost]:
        """Return the hosts that have the live patch and can be reached."""
        unreachable = (Behaviour.DEAF,)
        return [
            host
            for host in self.hosts
            if host.has_it and not host.is_dead and host.behaviour not in unreachable
        ]

    def violations(self) -> list[str]:
        """Return which promises were not kept."""
        found = list(self.wrong)
        for time, host in self.starts:
            offer = self._offer_at(time)
            if offer.held or offer.undone:
                found.append(f"{host.name} began to load at {time:.0f} s, after a halt")
            elif not self._is_chosen(host, offer.waves):
                found.append(f"{host.name} began to load at {time:.0f} s, and was not chosen yet")
        before = 0
        for one in self.offers:
            if one.offer.undone and one.offer.undone != before + 1:
                found.append(f"{one.offer.undone} waves were rolled back after {before}")
            before = one.offer.undone
        serials = [one.serial for one in self.offers]
        if serials != sorted(set(serials)):
            found.append("an offer was performed twice, or after a later one")
        return found

    def _host(self, number: int) -> SimulatedHost:
        name = f"host-{number}"
        draw, ring = self.chance.random(), ""
        for candidate, share in self.world.rings.items():
            if draw < share:
                ring = candidate
                break
            draw -= share
        draw, behaviour = self.chance.random(), Behaviour.GOOD
        for kind, share in self.world.behaviours.items():
            if draw < share:
                behaviour = kind
                break
            draw -= share
        place = place_of(name, self.plan.salt)
        return SimulatedHost(name, place, ring, behaviour, self.chance.random())

    def _at(self, delay: float, event: Callable[[], None]) -> None:
        self._counter += 1
        heapq.heappush(self._events, (self.now + delay, self._counter, event))

    # Hosts

    def _polling(self, host: SimulatedHost) -> Callable[[], None]:
        period = self.world.poll * (10 if host.behaviour is Behaviour.LATE else 1)

        def poll() -> None:
            if host.is_dead:
                return
            offer = self._offer_at(self.now - self.world.cached)
            if offer.undone and self._is_chosen(host, offer.undone):
                host.has_it = host.is_moving = False
            elif self._wants(host, offer) and self._wants(host, self.offers[-1].offer):
                self._load(host)
            self._report(host)
            self._at(period * self.chance.uniform(1.0, 1.2), poll)

        return poll

    def _wants(self, host: SimulatedHost, offer: RolloutOffer) -> bool:
        return not (offer.held or host.has_it or host.was_refused) and self._is_chosen(
            host, offer.waves
        )

    def _load(self, host: SimulatedHost) -> None:
        self.starts.append((self.now, host))
        patch = self.world.patch
        if host.luck < patch.refused:
            host.was_refused = True
            return
        host.has_it = host.is_moving = True

        def ended() -> None:
            host.is_moving = False
            if not host.is_dead and host.has_it:
                host.complaints += self.chance.random() < patch.complaining
                self._report(host)

        def die() -> None:
            host.is_dead = host.is_dead or host.has_it

        self._at(self.chance.expovariate(1 / 5.0), ended)
        if host.luck > 1 - patch.deadly:
            self._at(patch.kills_after * self.chance.uniform(0.5, 1.5), die)

    def _report(self, host: SimulatedHost) -> None:
        match host.behaviour:
            case Behaviour.SILENT | Behaviour.DEAF:
                return
            case Behaviour.FLAPPING if int(self.now // 3600) % 2:
                return
            case Behaviour.LYING:
                host.heard, host.said = self.now, HostState.IN_FORCE
                return
        host.heard, host.said_complaints = self.now, host.complaints
        if host.was_refused:
            host.said = HostState.FAILED
        elif host.has_it:
            host.said = HostState.MOVING if host.is_moving else HostState.IN_FORCE
        else:
            host.said = HostState.WITHOUT

    def _is_chosen(self, host: SimulatedHost, waves: int) -> bool:
        """Whether one of the first waves has a host, reckoned apart from `WaveChoice`."""
        for wave in self.plan.waves[:waves]:
            if wave.ring and host.ring == wave.ring:
                return True
            if wave.percent and host.place * 100 < wave.percent * 10_000:
                return True
        return False

    def _offer_at(self, time: float) -> RolloutOffer:
        for one in reversed(self.offers):
            if one.time <= time:
                return one.offer
        return self.offers[0].offer

    # Controllers

    def _look(self) -> None:
        """One look of whoever leads, who may be killed in the midst of it."""
        self._step()
        self._at(self.world.interval, self._look)

    def _step(self) -> None:
        state, revision = self.state, self.revision
        step = decide(self.plan, state, self.reports(), self.observed, self.now + self.skew)
        self.steps.append(step)
        if self.kills("deciding"):
            return
        after = step.state
        if step.kind is StepKind.PERFORM:
            self.perform(step.state.offer, step.state.serial)
            if self.kills("performing"):
                return
            after = performed(step.state)
        if step.kind is not StepKind.NOTHING and self.revision == revision:
            self.state, self.revision = after, revision + 1

    def perform(self, offer: RolloutOffer, serial: int) -> None:
        """Offer it to hosts, unless that has happened, or a later one has been offered."""
        last = self.offers[-1]
        if serial == last.serial and offer != last.offer:
            self.wrong.append(f"the offer {serial} is two different ones")
        if serial > last.serial:
            self.offers.append(PerformedOffer(self.now, serial, offer))


def ended(simulation: Simulation) -> bool:
    """Whether the rollout does nothing more by itself."""
    phases = (RolloutPhase.DONE, RolloutPhase.ROLLED_BACK)
    return simulation.state.phase in phases or simulation.state.is_over
