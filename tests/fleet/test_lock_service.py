# SPDX-License-Identifier: GPL-2.0-or-later
"""The lock server as the service that an operator runs, and the commands for it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.fleet.lock_client import LockClient
from tests.examples import shows


def command(*words: str, state: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "suture", "fleetlock", *words],
        env={**os.environ, "SUTURE_FLEET_STATE": str(state), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def as_service(state: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command itself; systemd's part is played by a socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(state.with_name("notify")))
        systemd.settimeout(60)
        words = ["fleetlock", "serve", "--listen", "127.0.0.1:0", "--state", str(state)]
        process = subprocess.Popen(
            [sys.executable, "-m", "suture", *words],
            env={**os.environ, "NOTIFY_SOCKET": str(state.with_name("notify"))},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert systemd.recv(100) == b"READY=1"
            assert process.stderr is not None
            found = re.search(r"http://\S+(?=,)", process.stderr.readline())
            assert found
            yield process, found[0]
        finally:
            process.kill()
            process.communicate()


def test_the_commands_of_the_server(tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    assert "no groups yet" in command("holders", state=state).stdout
    assert command("slots", "default", "1", state=state).stdout == "Slots of default: 1.\n"
    with as_service(state) as (process, url):
        LockClient(url, "default", "one").pre_reboot()
        listed = command("holders", "--json", state=state)
        (holder,) = json.loads(listed.stdout)["default"]["holders"]
        assert holder["id"] == "one"
        assert re.search(r"default +1 of 1 +one +\d{4}-", command("holders", state=state).stdout)
        with pytest.raises(Refusal, match="slot-refused") as caught:
            LockClient(url, "default", "two").pre_reboot()
        caught.value.where = "https://lock.example.com/v1/pre-reboot"
        shows(caught.value, "slot-refused")
        done = command("release", "default", "one", state=state)
        assert done.stdout == "default: the slot of one is free.\n"
        done = command("release", "default", "one", state=state)
        assert done.stdout == "default: one holds no slot.\n"
        LockClient(url, "default", "two").pre_reboot()
        done = command("slots", "default", "0", state=state)
        assert done.stdout == "Slots of default: 0, 1 of them taken.\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
