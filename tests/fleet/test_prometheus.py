# SPDX-License-Identifier: GPL-2.0-or-later
"""Evidence from a real Prometheus and a real Alertmanager."""

from __future__ import annotations

import json
import math
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from suture.fleet.evidence import Gathered
from suture.fleet.hosts import HostReport, HostState, place_of
from suture.fleet.plan import RolloutGate, RolloutPlan, Wave
from suture.fleet.prometheus import PrometheusEvidence
from tests.fleet.observatory import Observatory, PlayedHost, observatory, until
from tests.servers import free_port

PLAN = RolloutPlan(
    "fix", (Wave("100 %", percent=100),), RolloutGate(silent_after=3.0), salt="spring"
)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observatory]:
    with observatory(tmp_path_factory.mktemp("observatory")) as made:
        yield made


@pytest.fixture
def evidence(seen: Observatory, monkeypatch: pytest.MonkeyPatch) -> PrometheusEvidence:
    seen.hosts.clear()
    monkeypatch.setattr("suture.fleet.prometheus.SETTLED", 1.0)
    return PrometheusEvidence(seen.prometheus)


def gathered(
    evidence: PrometheusEvidence,
    holds: Callable[[dict[str, HostReport]], bool],
    plan: RolloutPlan = PLAN,
    age: float = 0.0,
) -> Gathered:
    """Look until what was told has come through."""
    found: list[Gathered] = []
    states: set[HostState] = set()

    def look() -> bool:
        found.append(evidence.gather(plan, age))
        assert found[-1].observed.missing == ()
        reports = {report.host: report for report in found[-1].reports}
        if "a" in reports:
            states.add(reports["a"].state)
        return holds(reports)

    until(look)
    assert len(states) < 2  # the host "a" says the same all the time, also when it falls silent
    return found[-1]


def test_hosts_and_what_they_say(seen: Observatory, evidence: PrometheusEvidence) -> None:
    seen.hosts.update(
        a=PlayedHost("canary", state=HostState.IN_FORCE),
        b=PlayedHost(group="web", state=HostState.MOVING),
        c=PlayedHost(state=HostState.IN_FORCE, ineffective=1),
        d=PlayedHost(written=time.time() - 5000, state=HostState.IN_FORCE),
        e=PlayedHost(),
    )
    seen.tell_prometheus()
    found = gathered(evidence, lambda reports: len(reports) == 5)
    reports = {report.host: report for report in found.reports}
    assert reports["a"] == HostReport(
        "a", place_of("a", "spring"), 0.0, HostState.IN_FORCE, "canary", transition=1.5
    )
    assert (reports["b"].state, reports["b"].groups) == (HostState.MOVING, ("web",))
    assert reports["c"].state is HostState.FAILED
    assert reports["d"].age > 4000  # its file is served, and nobody writes it any more
    assert reports["e"].state is HostState.WITHOUT

    seen.hosts["a"].is_up = False  # it keeps what it said last
    seen.hosts["b"].state = HostState.WITHOUT  # it has unloaded it
    del seen.hosts["e"]  # it is out of service
    seen.tell_prometheus()
    found = gathered(
        evidence,
        lambda reports: (
            reports["a"].state is HostState.IN_FORCE
            and "e" not in reports
            and reports["a"].age == math.inf
            and reports["b"].state is HostState.WITHOUT
        ),
    )


def test_refusals_since_the_rollout_began(seen: Observatory, evidence: PrometheusEvidence) -> None:
    seen.hosts.update(f=PlayedHost(refusals={"data-changed": 2}), g=PlayedHost(), h=PlayedHost())
    seen.tell_prometheus()
    gathered(evidence, lambda reports: {"f", "g", "h"} <= set(reports))
    known = time.monotonic()
    until(lambda: time.monotonic() - known > 2)  # offsets are in whole seconds
    began = time.monotonic()
    until(lambda: time.monotonic() - began > 1)
    seen.hosts["g"].refusals = {"stack-unsafe": 1}
    seen.hosts["h"].refusals = {"stack-unsafe": 1}
    seen.hosts["h"].state = HostState.IN_FORCE  # it was tried again

    def came(reports: dict[str, HostReport]) -> bool:
        return reports["g"].failure != "" and reports["h"].state is HostState.IN_FORCE

    until(lambda: came(now_of(evidence, time.monotonic() - began)))
    reports = now_of(evidence, time.monotonic() - began)
    assert (reports["f"].state, reports["f"].failure) == (HostState.WITHOUT, "")
    assert (reports["g"].state, reports["g"].failure) == (HostState.FAILED, "stack-unsafe")


def now_of(evidence: PrometheusEvidence, age: float) -> dict[str, HostReport]:
    return {report.host: report for report in evidence.gather(PLAN, age).reports}


def test_queries_hold_or_do_not(seen: Observatory, evidence: PrometheusEvidence) -> None:
    seen.hosts.update(i=PlayedHost())
    seen.tell_prometheus()
    holding = ('sum(up{instance="i"}) > 0', "vector(0) < 3", "1 < bool 2")
    not_holding = ('up{instance="i"} > 1', "no_such_metric > 0", "3 < bool 2")
    gate = replace(PLAN.gate, queries=(*holding, *not_holding))
    plan = replace(PLAN, gate=gate)
    found = gathered(evidence, lambda reports: "i" in reports, plan)
    queries = found.observed.queries
    assert [queries[query] for query in holding] == [True, True, True]
    assert [queries[query] for query in not_holding] == [False, False, False]
    broken = replace(PLAN, gate=replace(PLAN.gate, queries=("sum(",)))
    (missing,) = evidence.gather(broken, 0.0).observed.missing
    assert "parse error" in missing


def test_alerts_unless_they_are_silenced(seen: Observatory, evidence: PrometheusEvidence) -> None:
    by_alertmanager = PrometheusEvidence(seen.prometheus, seen.alertmanager)
    seen.hosts.update(j=PlayedHost())
    seen.tell_prometheus()
    plan = replace(PLAN, gate=replace(PLAN.gate, alerts=("HostDown",)))
    both = (evidence, by_alertmanager)
    for each in both:
        until(lambda each=each: alerts(each, plan) == set())  # type: ignore[misc]
    seen.hosts["j"].is_up = False
    for each in both:
        until(lambda each=each: alerts(each, plan) == {"HostDown"})  # type: ignore[misc]
    silence(seen.alertmanager, "HostDown")
    until(lambda: alerts(by_alertmanager, plan) == set())
    assert alerts(evidence, plan) == {"HostDown"}


def alerts(evidence: PrometheusEvidence, plan: RolloutPlan) -> set[str]:
    observed = evidence.gather(plan, 0.0).observed
    assert observed.missing == ()
    return set(observed.alerts)


def silence(url: str, alert: str) -> None:
    now = datetime.now(UTC)
    content = {
        "matchers": [{"name": "alertname", "value": alert, "isRegex": False}],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "ann",
        "comment": "maintenance",
    }
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(
        f"{url}/api/v2/silences", json.dumps(content).encode(), headers
    )
    urllib.request.urlopen(request, timeout=30).close()


def test_what_is_away_is_missing_and_no_traceback(seen: Observatory) -> None:
    plan = replace(PLAN, gate=replace(PLAN.gate, alerts=("HostDown",), queries=("up > 0",)))
    nowhere = f"http://127.0.0.1:{free_port()}"
    away = PrometheusEvidence(nowhere, nowhere).gather(plan, 0.0)
    assert away.reports == ()
    assert len(away.observed.missing) == 3
    # Another server, which answers, and with something else.
    other = PrometheusEvidence(seen.alertmanager, seen.prometheus).gather(plan, 0.0)
    assert len(other.observed.missing) == 3
    assert other.observed.alerts == frozenset()


def test_a_server_that_hangs_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suture.fleet.prometheus.TIMEOUT", 0.5)
    plan = replace(PLAN, gate=replace(PLAN.gate, alerts=("HostDown",), queries=("up > 0",) * 3))
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        found = PrometheusEvidence(url).gather(plan, 0.0)
        assert found.observed.missing == (f"{url}: did not answer in time",) * 5
        hanging.settimeout(0.1)
        assert hanging.accept()
        with pytest.raises(TimeoutError):
            hanging.accept()


def test_a_host_label_of_its_own(seen: Observatory) -> None:
    seen.hosts.update(k=PlayedHost("canary"))
    seen.tell_prometheus()
    by_ring = PrometheusEvidence(seen.prometheus, host_label="ring")
    until(lambda: "canary" in now_of(by_ring, 0.0))
