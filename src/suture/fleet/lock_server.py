# SPDX-License-Identifier: GPL-2.0-or-later
"""The lock server: FleetLock's protocol, version 1, over the slots in the shared state.

The protocol is Zincati's (coreos/zincati: ``docs/development/fleetlock/protocol.md``): a ``POST``
to ``/v1/pre-reboot`` takes a slot and one to ``/v1/steady-state`` gives it back, both with the
header ``fleet-lock-protocol: true`` and ``{"client_params": {"id": …, "group": …}}``.  An error is
an object of ``kind``, of which there are few, and ``value``, for people.

Also ``/metrics`` for Prometheus and ``/-/healthy``, as poseidon/fleetlock has them.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime

from suture.errors import GROUP_UNKNOWN, SLOTS_TAKEN, Refusal
from suture.fleet.semaphore import GROUP, ID, Semaphore
from suture.fleet.slots import RebootSlots
from suture.fleet.web import WebAnswer, WebRequest
from suture.host.exposition import family, labels

PRE_REBOOT, STEADY_STATE = "/v1/pre-reboot", "/v1/steady-state"

JSON = "application/json"
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"

FULL = "failed_lock_semaphore_full"
"""The example of an error in the protocol's specification."""

INVALID = "invalid_client_identity"
UNKNOWN = "unknown_group"
"""As coreos/airlock has them (``internal/server/pre_reboot.go``)."""

DONE = "done"


class LockServer:
    """Answers requests.

    :param log: told of each slot that is taken or given back, one line.
    """

    def __init__(self, slots: RebootSlots, log: Callable[[str], None] = lambda line: None) -> None:
        self._slots = slots
        self._log = log
        self._counting = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()

    def answer(self, request: WebRequest) -> WebAnswer:
        """Answer one request; several threads may."""
        match request.path:
            case "/v1/pre-reboot" | "/v1/steady-state":
                if request.method != "POST":
                    return _method_wrong("POST")
                answer, result = self._lock(request)
                with self._counting:
                    self._counts[request.path, result] += 1
                return answer
            case "/metrics":
                if request.method != "GET":
                    return _method_wrong("GET")
                text = "".join(f"{line}\n" for line in self._metrics())
                return WebAnswer(200, text.encode(), EXPOSITION)
            case "/-/healthy":
                return WebAnswer(200, b"ok\n")
        return _error(404, "not_found", "there is nothing here")

    def _lock(self, request: WebRequest) -> tuple[WebAnswer, str]:
        """Take a slot or give it back; return the answer, and what metrics count it as."""
        found = identity(request)
        if isinstance(found, str):
            return _error(400, INVALID, found), INVALID
        group, host = found
        try:
            if request.path == PRE_REBOOT:
                if self._slots.take(group, host):
                    self._log(f"{group}: {host} has a slot")
            elif self._slots.give_back(group, host):
                self._log(f"{group}: {host} has given its slot back")
        except Refusal as refusal:
            said = f"{refusal.where}: {refusal.found}"
            if refusal.kind is GROUP_UNKNOWN:
                return _error(400, UNKNOWN, f"{said}"), UNKNOWN
            if refusal.kind is SLOTS_TAKEN:
                return _error(423, FULL, f"{said}"), FULL
            self._log(f"{group}: {host}: {said}")
            return _error(503, "state_unavailable", said), "state_unavailable"
        return WebAnswer(200), DONE

    def _metrics(self) -> Iterator[str]:
        try:
            groups, is_up = self._slots.groups(), 1
        except Refusal:
            groups, is_up = {}, 0
        about = "1 if the shared state can be read."
        yield from family("suture_fleetlock_state_up", about, [("", is_up)])
        for name, about, value in (
            ("slots", "How many hosts of the group may reboot at a time.", _slots),
            ("holders", "How many hosts of the group hold a slot.", _holders),
        ):
            values = [(labels(group=group), value(one)) for group, one in groups.items()]
            yield from family(f"suture_fleetlock_{name}", about, values)
        about = "For how long the group's oldest slot has been held, as far as it is known."
        now = time.time()
        ages = [
            (labels(group=group), round(max(0.0, now - oldest)))
            for group, one in groups.items()
            if (oldest := _oldest(one)) is not None
        ]
        yield from family("suture_fleetlock_oldest_slot_seconds", about, ages)
        about = "Requests that this server has answered, by what came of them."
        with self._counting:
            counts = sorted(self._counts.items())
        values = [
            (labels(endpoint=path.rpartition("/")[2], result=result), number)
            for (path, result), number in counts
        ]
        yield from family("suture_fleetlock_requests_total", about, values, "counter")


def identity(request: WebRequest) -> tuple[str, str] | str:
    """Return the group and the ID of the host that asks, or what is wrong with them."""
    if request.headers.get("fleet-lock-protocol") != "true":
        return "the header 'fleet-lock-protocol: true' is missing"
    try:
        found = json.loads(request.body)["client_params"]
        # Until 2020, Zincati called it so (coreos/airlock: internal/server/http_params.go).
        group, host = found["group"], found.get("id", found.get("node_uuid", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return 'the body is not {"client_params": {"id": "...", "group": "..."}}'
    if not isinstance(group, str) or not GROUP.fullmatch(group):
        return f"the group is not of the form {GROUP.pattern}"
    if not isinstance(host, str) or not ID.fullmatch(host):
        return "the id is not of 1 to 128 characters, none of them a control character"
    return group, host


def _error(status: int, kind: str, value: str) -> WebAnswer:
    content = json.dumps({"kind": kind, "value": value})
    return WebAnswer(status, f"{content}\n".encode(), JSON)


def _method_wrong(allowed: str) -> WebAnswer:
    answer = _error(405, "method_not_allowed", f"only {allowed} is allowed here")
    return WebAnswer(answer.status, answer.body, answer.kind, {"Allow": allowed})


def _slots(semaphore: Semaphore) -> int:
    return semaphore.slots


def _holders(semaphore: Semaphore) -> int:
    return len(semaphore.holders)


def _oldest(semaphore: Semaphore) -> float | None:
    """Return when the first of its holders got a slot."""
    known = []
    for when in semaphore.since.values():
        try:
            known.append(datetime.fromisoformat(when).timestamp())
        except ValueError:
            continue
    return min(known, default=None)
