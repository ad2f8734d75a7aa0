# SPDX-License-Identifier: GPL-2.0-or-later
"""An etcd of three members, of which some hang, are killed, or are cut off."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.fleet.etcd import Etcd
from suture.fleet.state import ABSENT, SharedState, Versioned
from tests.examples import shows
from tests.servers import PATIENCE, Member, etcd_cluster


def leader_of(members: list[Member]) -> Member:
    """The one that leads, as etcdctl sees it."""
    endpoints = ",".join(member.client for member in members)
    command = ["etcdctl", "--endpoints", endpoints, "endpoint", "status"]
    environment = {**os.environ, "ETCDCTL_API": "3"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    leading = [line.split(",")[0] for line in done.stdout.splitlines() if ", true, " in line]
    return next(member for member in members if member.client in leading)


def until_it_answers(state: SharedState, key: str) -> Versioned | None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return state.get(key)
        except Refusal as refusal:
            if refusal.code != "state-unreachable" or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_three_members_outlive_the_one_that_leads(tmp_path: Path) -> None:
    """It hangs (SIGSTOP), wakes up, and is killed; then a second one, and nothing goes any more."""
    with etcd_cluster(tmp_path, 3) as members:
        first = leader_of(members)
        order = [first.client, *(m.client for m in members if m is not first)]
        state = Etcd(order, timeout=1.0)
        revision = state.swap("a", b"1", ABSENT)
        assert revision is not None
        first.process.send_signal(signal.SIGSTOP)
        assert until_it_answers(state, "a") == Versioned(b"1", revision)
        second = state.swap("a", b"2", revision)
        assert second is not None
        first.process.send_signal(signal.SIGCONT)
        # What slept through it all must not answer with what it knew.
        assert until_it_answers(Etcd([first.client], timeout=1.0), "a") == Versioned(b"2", second)
        assert Etcd([first.client]).swap("a", b"3", revision) is None

        left = [member for member in members if member is not first]
        first.process.kill()
        assert until_it_answers(state, "a") == Versioned(b"2", second)
        left[0].process.kill()
        with pytest.raises(Refusal) as caught:
            Etcd([left[1].client], timeout=1.0).swap("a", b"4", second)
        assert caught.value.code == "state-unreachable"
        with pytest.raises(Refusal) as caught:
            state.get("a")
        caught.value.where = "http://10.0.0.1:2379,http://10.0.0.2:2379"
        shows(caught.value, "state-unreachable")
