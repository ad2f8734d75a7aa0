# SPDX-License-Identifier: GPL-2.0-or-later
"""A client of any server that speaks FleetLock's protocol, version 1."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable

from suture.errors import LOCK_SERVER_UNREACHABLE, SLOT_REFUSED, Refusal
from suture.fleet.http import Certificates, Unanswered, WebServer

TIMEOUT = 30.0
"""Seconds for an answer: servers may have to wait for their store."""

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 120.0
"""Seconds between two attempts; chance keeps hosts from asking in step."""

LINES = 5


class LockClient:
    """This host, at one server.

    :raises Refusal: ``url-wrong``, ``file-unreadable``
    """

    def __init__(
        self, url: str, group: str, host: str, certificates: Certificates | None = None
    ) -> None:
        self._server = WebServer(url, certificates, timeout=TIMEOUT)
        parameters = {"client_params": {"group": group, "id": host}}
        self._body = json.dumps(parameters).encode()

    def pre_reboot(self) -> None:
        """Take a slot.

        :raises Refusal: ``slot-refused``, ``lock-server-unreachable``
        """
        self._post("/v1/pre-reboot")

    def steady_state(self) -> None:
        """Give the slot back, if there is one.

        :raises Refusal: ``slot-refused``, ``lock-server-unreachable``
        """
        self._post("/v1/steady-state")

    def wait_for_slot(self, seconds: float, log: Callable[[str], None]) -> None:
        """Take a slot, with as many attempts as fit into the time.

        :param log: told why there is none yet.
        :raises Refusal: as `pre_reboot`, at the end of the time
        """
        until, pause = time.monotonic() + seconds, FIRST_PAUSE
        while True:
            try:
                return self.pre_reboot()
            except Refusal as refusal:
                left = until - time.monotonic()
                if left <= 0:
                    raise
                log(f"no slot yet: {refusal.found}")
            time.sleep(min(left, random.uniform(pause / 2, pause)))
            pause = min(pause * 2, LONGEST_PAUSE)

    def _post(self, path: str) -> None:
        headers = {"fleet-lock-protocol": "true", "Content-Type": "application/json"}
        try:
            answer = self._server.request("POST", path, self._body, headers)
        except Unanswered as error:
            raise Refusal(LOCK_SERVER_UNREACHABLE, self._server.url, str(error)) from error
        if 200 <= answer.status < 300:
            return
        try:
            said = json.loads(answer.body)
            kind, value = str(said["kind"]), str(said["value"])
        except (ValueError, KeyError, TypeError):
            text = answer.body.decode(errors="replace").strip().splitlines()[:LINES]
            kind, value = f"HTTP status {answer.status}", "; ".join(text) or "no reason is given"
        raise Refusal(SLOT_REFUSED, f"{self._server.url}{path}", f"{value} ({kind})")
