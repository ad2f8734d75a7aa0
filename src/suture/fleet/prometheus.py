# SPDX-License-Identifier: GPL-2.0-or-later
"""`suture.fleet.evidence.Evidence` from Prometheus, which has the metrics that hosts write
(`suture.core.metrics`), and from Alertmanager.

A host is a target that Prometheus has now (``up``) and from which it has had Suture's metrics
within `KEPT`.  So hosts that were taken out of service are no hosts any more, and those that are
down still are.  The labels ``ring`` and ``group`` of a target say which waves choose it.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from suture.fleet.decide import Observed
from suture.fleet.evidence import Gathered
from suture.fleet.hosts import HostReport, HostState, place_of
from suture.fleet.http import Certificates, Unanswered, WebServer
from suture.fleet.plan import RolloutPlan

KEPT = "1d"
"""For how long a host that is not heard of is remembered with what it said last."""

BEFORE = "30m"
"""For how long before a rollout's start refusals are looked for that are older than it."""

SETTLED = 5.0
"""Seconds; what a scrape has brought has the time at which it began."""

TIMEOUT, TOGETHER = 10.0, 25.0
"""Seconds for one answer, and seconds after which nothing more is asked: a halt that comes
meanwhile has to wait for it."""

FILE = r'{file=~"(.*/)?suture[^/]*\\.prom"}'
"""node_exporter goes on serving a file that nobody writes any more; this is its age."""

Labels = Mapping[str, str]
Vector = list[tuple[Labels, float]]


class _Missing(Exception):
    """Something could not be found out; the text says what, and why."""


class PrometheusEvidence:
    """Evidence from one Prometheus, and one Alertmanager.

    :param alertmanager: asked for alerts, so that silenced ones do not count; without one,
        Prometheus is asked.
    :param host_label: the label that names a host.
    :raises Refusal: ``url-wrong``, ``file-unreadable``
    """

    def __init__(
        self,
        url: str,
        alertmanager: str | None = None,
        *,
        certificates: Certificates | None = None,
        host_label: str = "instance",
    ) -> None:
        self._prometheus = WebServer(url, certificates, timeout=TIMEOUT)
        self._alertmanager = (
            WebServer(alertmanager, certificates, timeout=TIMEOUT) if alertmanager else None
        )
        self._label = host_label
        self._places: dict[tuple[str, str], int] = {}
        self._until, self._moment = 0.0, ""
        self._silent: dict[str, str] = {}

    def gather(self, plan: RolloutPlan, age: float) -> Gathered:
        """As `suture.fleet.evidence.Evidence.gather`."""
        self._until, self._silent, self._moment = time.monotonic() + TOGETHER, {}, ""
        missing: list[str] = []
        reports: tuple[HostReport, ...] = ()
        alerts: frozenset[str] = frozenset()
        queries: dict[str, bool] = {}
        with _noted(missing):
            reports = tuple(self._reports(plan, age))
        self._moment = ""
        with _noted(missing):
            alerts = self._alerts() if plan.gate.alerts else alerts
        for query in plan.gate.queries:
            with _noted(missing):
                queries[query] = self._holds(query)
        return Gathered(reports, Observed(alerts, queries, tuple(missing)))

    def _reports(self, plan: RolloutPlan, age: float) -> Iterator[HostReport]:
        # All is asked as of one moment of Prometheus' own clock, so that it fits together.
        self._moment = str(float(self._query("time()")["result"][1]) - SETTLED)
        targets = self._by_host("up")
        recent = self._by_host(
            f"last_over_time(suture_verdict[{max(1, round(plan.gate.silent_after))}s])"
        )
        written = self._by_host(f"time() - node_textfile_mtime_seconds{FILE}")
        patch = f'{{patch="{plan.patch}"}}'
        now, earlier = (
            {
                name: self._by_host(made(f"suture_livepatch_{name}{patch}"))
                for name in ("enabled", "transition", "functions_ineffective")
            }
            for made in (_as_it_is, _as_it_was)
        )
        took = self._by_host(f"suture_livepatch_transition_seconds{patch}")
        complaints = self._by_host(f"suture_livepatch_complaints{patch}")
        crashes = self._by_host(f"suture_livepatch_crashes{patch}")
        refused = self._refusals(age)
        known = f"last_over_time(suture_verdict[{KEPT}])"
        done: set[str] = set()
        for labels, _ in self._vector(f"max by ({self._label}, ring, group) ({known})"):
            host = labels.get(self._label, "")
            if host not in targets or host in done:
                continue
            done.add(host)
            silence = written.get(host, 0.0) if host in recent else math.inf
            # What a scrape that failed did not bring is no longer there, as if it were not so.
            said = now if host in recent and targets[host] else earlier
            state = _state(*(found.get(host, 0.0) for found in said.values()))
            if state is HostState.WITHOUT and host in refused:
                state = HostState.FAILED
            yield HostReport(
                host,
                self._place(host, plan.salt),
                silence,
                state,
                labels.get("ring", ""),
                (labels["group"],) if labels.get("group") else (),
                refused.get(host, ""),
                took.get(host, 0.0),
                round(complaints.get(host, 0.0)),
                round(crashes.get(host, 0.0)),
            )

    def _refusals(self, age: float) -> dict[str, str]:
        """Return the hosts that have refused a change since the rollout began, with the code.

        A count that was not there before has none to compare it with.
        """
        same = f"on ({self._label}, code)"
        before = f"last_over_time(suture_refusals[{BEFORE}] offset {max(1, round(age))}s)"
        more = self._vector(f"suture_refusals > {same} {before}")
        new = self._vector(f"(suture_refusals > 0) unless {same} {before}")
        return {labels.get(self._label, ""): labels.get("code", "") for labels, _ in [*more, *new]}

    def _alerts(self) -> frozenset[str]:
        """Return the names of the alerts that fire, and that nobody has silenced."""
        if self._alertmanager is not None:
            path = "/api/v2/alerts?active=true&silenced=false&inhibited=false"
            found = self._asked(self._alertmanager, "GET", path)
            return frozenset(str(alert["labels"].get("alertname", "")) for alert in found)
        found = self._asked(self._prometheus, "GET", "/api/v1/alerts")["data"]["alerts"]
        firing = (alert for alert in found if alert.get("state") == "firing")
        return frozenset(str(alert["labels"].get("alertname", "")) for alert in firing)

    def _holds(self, query: str) -> bool:
        """Whether a query returns something: comparisons return what they hold for."""
        found = self._query(query)
        if found["resultType"] == "scalar":
            return float(found["result"][1]) != 0
        return bool(found["result"])

    def _by_host(self, query: str) -> dict[str, float]:
        """Return one value for each host: the largest, where several jobs have it."""
        vector = self._vector(f"max by ({self._label}) ({query})")
        return {labels.get(self._label, ""): value for labels, value in vector}

    def _vector(self, query: str) -> Vector:
        found = self._query(query)["result"]
        return [(one["metric"], float(one["value"][1])) for one in found]

    def _query(self, query: str) -> Any:
        when = {"time": self._moment} if self._moment else {}
        content = urlencode({"query": query, **when}).encode()
        return self._asked(self._prometheus, "POST", "/api/v1/query", content, query)["data"]

    def _asked(
        self, server: WebServer, method: str, path: str, body: bytes | None = None, about: str = ""
    ) -> Any:
        """Return the document that a server answers with.

        :raises _Missing: there is none, or it says that something went wrong
        """
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        if server.url in self._silent:
            raise _Missing(self._silent[server.url])
        if time.monotonic() > self._until:
            raise _Missing(f"{server.url}: all answers together took more than {TOGETHER:.0f} s")
        try:
            answer = server.request(method, path, body, headers)
            found = json.loads(answer.body)
        except Unanswered as error:
            self._silent[server.url] = f"{server.url}: {error}"
            raise _Missing(self._silent[server.url]) from error
        except ValueError:
            found = None
        if answer.status != 200 or found is None:
            said = found.get("error") if isinstance(found, dict) else None
            what = f" ({about})" if about else ""
            raise _Missing(f"{server.url}: {said or f'HTTP status {answer.status}'}{what}")
        return found

    def _place(self, host: str, salt: str) -> int:
        found = self._places.get((host, salt))
        if found is None:
            found = self._places[host, salt] = place_of(host, salt)
        return found


@contextmanager
def _noted(missing: list[str]) -> Iterator[None]:
    """Note what the block could not find out."""
    try:
        yield
    except _Missing as error:
        missing.append(str(error))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        missing.append(f"an answer is not of the form that was expected: {error!r}")


def _as_it_is(series: str) -> str:
    return series


def _as_it_was(series: str) -> str:
    return f"last_over_time({series}[{KEPT}])"


def _state(enabled: float, transition: float, ineffective: float) -> HostState:
    if transition:
        return HostState.MOVING
    if enabled and ineffective:
        return HostState.FAILED
    return HostState.IN_FORCE if enabled else HostState.WITHOUT
