# SPDX-License-Identifier: GPL-2.0-or-later
"""A controller's metrics for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from suture.fleet.controller import LastLook
from suture.fleet.rollout import RolloutPhase
from suture.fleet.web import WebAnswer, WebRequest
from suture.host.exposition import family, labels

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


def exposition(looks: Mapping[str, LastLook], is_leader: bool) -> str:
    """Write what was seen last of each rollout; only who leads sees anything."""
    return "".join(f"{line}\n" for line in _lines(looks, is_leader))


def _lines(looks: Mapping[str, LastLook], is_leader: bool) -> Iterator[str]:
    about = "1 if this controller leads."
    yield from family("suture_rollout_controller_leads", about, [("", int(is_leader))])
    found = sorted(looks.items()) if is_leader else []
    about = "1 for the phase that the rollout is in."
    phases = [pair for name, look in found for pair in _phases(name, look)]
    yield from family("suture_rollout_phase", about, phases)
    for metric, about, values in (
        (
            "suture_rollout_waves_offered",
            "Waves whose hosts are offered the live patch.",
            [(labels(rollout=name), look.stored.state.offer.waves) for name, look in found],
        ),
        (
            "suture_rollout_waves_rolled_back",
            "Waves whose hosts are told to unload it.",
            [(labels(rollout=name), look.stored.state.offer.undone) for name, look in found],
        ),
        (
            "suture_rollout_paused",
            "1 if an operator has paused the rollout.",
            [(labels(rollout=name), int(look.stored.state.paused)) for name, look in found],
        ),
        (
            "suture_rollout_without_evidence",
            "1 if something could not be found out that the plan wants to know.",
            [(labels(rollout=name), int(bool(look.missing))) for name, look in found],
        ),
        (
            "suture_rollout_step_failed",
            "1 if the last step could not be made.",
            [(labels(rollout=name), int(bool(look.error))) for name, look in found],
        ),
    ):
        yield from family(metric, about, values)
    about = "Hosts of the waves that were offered it, by what they say."
    yield from family("suture_rollout_hosts", about, list(_hosts(found)))


def _phases(name: str, look: LastLook) -> Iterator[tuple[str, int]]:
    for phase in RolloutPhase:
        yield labels(rollout=name, phase=phase.value), int(look.stored.state.phase is phase)


def _hosts(found: list[tuple[str, LastLook]]) -> Iterator[tuple[str, int]]:
    for name, look in found:
        if look.step is None:
            continue
        count = look.step.tally
        failed = {*look.step.state.failed, *count.lost}
        for kind, number in (
            ("chosen", count.hosts),
            ("silent", count.silent),
            ("in force", count.in_force),
            ("failed", len(failed)),
        ):
            yield labels(rollout=name, kind=kind), number


def answer(request: WebRequest, text: str) -> WebAnswer:
    """Answer a request for the metrics."""
    if request.path == "/-/healthy":
        return WebAnswer(200, b"ok\n")
    if request.path != "/metrics" or request.method != "GET":
        return WebAnswer(404, b"there is only /metrics here\n")
    return WebAnswer(200, text.encode(), EXPOSITION)
