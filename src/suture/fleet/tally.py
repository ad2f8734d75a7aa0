# SPDX-License-Identifier: GPL-2.0-or-later
"""Counts what hosts report: once over all of them, whatever is asked afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import accumulate

from suture.fleet.hosts import HostReport, HostState, WaveChoice
from suture.fleet.plan import MOST_FAILED, RolloutGate, Wave


@dataclass(frozen=True, slots=True)
class Tally:
    """The hosts that were chosen so far.

    :ivar by_wave: how many hosts the waves have up to each.
    :ivar silent: hosts that are not heard of.
    :ivar in_force: those that have said that they have the live patch in force.
    :ivar reachable_with: those that are heard of and have it, in force or moving.
    :ivar failed: those that failed -> the number of the wave that chose them, from 0 on.
    :ivar lost: those that had it and are silent now, likewise.
    :ivar complaints: in the logs of all of them, as are crashes.
    """

    by_wave: tuple[int, ...] = ()
    silent: int = 0
    in_force: int = 0
    reachable_with: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)
    complaints: int = 0
    crashes: int = 0

    @property
    def hosts(self) -> int:
        """How many there are."""
        return self.by_wave[-1] if self.by_wave else 0

    @property
    def reporting(self) -> float:
        """The share that is heard of; 0 of none."""
        return (self.hosts - self.silent) / self.hosts if self.hosts else 0.0

    @property
    def adopted(self) -> float:
        """The share that has it in force; 0 of none."""
        return self.in_force / self.hosts if self.hosts else 0.0


def tally(
    reports: Iterable[HostReport], waves: Sequence[Wave], gate: RolloutGate, known: Set[str]
) -> Tally:
    """Count.

    :param waves: those that were offered the live patch.
    :param known: hosts whose failures count no more.
    """
    first, none = WaveChoice(waves).first, len(waves)
    slowest = float("inf") if gate.transition is None else gate.transition
    silent_after, with_it = gate.silent_after, (HostState.IN_FORCE, HostState.MOVING)
    new = [0] * none
    silent = in_force = reachable_with = complaints = crashes = 0
    failed: dict[str, int] = {}
    lost: dict[str, int] = {}
    for report in reports:
        wave = first(report)
        if wave == none:
            continue
        new[wave] += 1
        has_it = report.state in with_it
        if report.age > silent_after:
            silent += 1
            if has_it and len(lost) <= MOST_FAILED and report.host not in known:
                lost[report.host] = wave
        elif has_it:
            reachable_with += 1
        in_force += report.state is HostState.IN_FORCE
        complaints += report.complaints
        crashes += report.crashes
        if (
            (report.state is HostState.FAILED or report.transition > slowest)
            and len(failed) <= MOST_FAILED
            and report.host not in known
        ):
            failed[report.host] = wave
    by_wave = tuple(accumulate(new))
    return Tally(by_wave, silent, in_force, reachable_with, failed, lost, complaints, crashes)
