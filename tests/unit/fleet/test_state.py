# SPDX-License-Identifier: GPL-2.0-or-later
"""The stores keep their promises: the same tests for etcd and for SQLite."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.fleet.etcd import Etcd
from suture.fleet.http import Certificates
from suture.fleet.sqlite import SqliteState
from suture.fleet.state import ABSENT, SharedState, Versioned
from suture.fleet.stores import open_state
from tests.examples import shows
from tests.servers import PATIENCE, certificate, free_port, running, wait_for


def test_a_value_is_made_read_changed_and_deleted(state: SharedState) -> None:
    assert state.get("t/a") is None
    first = state.swap("t/a", b"one", ABSENT)
    assert first is not None
    assert state.get("t/a") == Versioned(b"one", first)
    second = state.swap("t/a", b"\x00\xff", first)
    assert second is not None
    assert second > first
    assert state.get("t/a") == Versioned(b"\x00\xff", second)
    assert not state.delete("t/a", first)
    assert state.delete("t/a", second)
    assert state.get("t/a") is None


def test_only_the_revision_that_was_seen_is_exchanged(state: SharedState) -> None:
    first = state.swap("t/a", b"one", ABSENT)
    assert first is not None
    assert state.swap("t/a", b"two", ABSENT) is None
    assert state.swap("t/a", b"two", first + 1) is None
    assert state.swap("t/b", b"two", first) is None
    assert state.get("t/a") == Versioned(b"one", first)
    assert state.get("t/b") is None


def test_a_deleted_key_does_not_get_its_old_revision_back(state: SharedState) -> None:
    first = state.swap("t/a", b"one", ABSENT)
    assert first is not None
    state.delete("t/a", first)
    assert state.swap("t/a", b"one", ABSENT) not in (None, first)
    assert state.swap("t/a", b"two", first) is None


def test_values_are_listed_by_prefix(state: SharedState) -> None:
    for key in ("t/b", "t/a", "t0", "t/%", "t/ä"):
        state.swap(key, key.encode(), ABSENT)
    assert [*state.under("t/")] == ["t/%", "t/a", "t/b", "t/ä"]
    assert state.under("t/a")["t/a"].value == b"t/a"
    assert state.under("t/nothing") == {}


def test_an_empty_value_is_a_value(state: SharedState) -> None:
    revision = state.swap("t/a", b"", ABSENT)
    assert revision is not None
    assert state.get("t/a") == Versioned(b"", revision)


def test_many_writers_lose_nothing(state: SharedState) -> None:
    def count() -> None:
        for _ in range(25):
            while True:
                found = state.get("t/n")
                old = int(found.value) if found else 0
                if state.swap("t/n", str(old + 1).encode(), found.revision if found else ABSENT):
                    break

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = state.get("t/n")
    assert found is not None
    assert found.value == b"100"


def test_one_leads_at_a_time(state: SharedState) -> None:
    lease = state.lead("t/leader", "one", 30)
    assert lease is not None
    assert lease.until > time.monotonic()
    assert state.lead("t/leader", "two", 30) is None
    assert state.leader("t/leader") == "one"
    renewed = state.renew(lease, 30)
    assert renewed is not None
    assert renewed.until >= lease.until
    state.resign(renewed)
    assert state.leader("t/leader") == ""
    assert state.renew(renewed, 30) is None
    state.resign(renewed)
    second = state.lead("t/leader", "two", 30)
    assert second is not None
    state.resign(second)


def test_a_lease_ends_by_itself(state: SharedState) -> None:
    lease = state.lead("t/leader", "one", 1)
    assert lease is not None
    deadline = time.monotonic() + PATIENCE
    while state.leader("t/leader"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert time.monotonic() >= lease.until - 0.01
    assert state.renew(lease, 1) is None


def test_processes_share_a_file(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from suture.fleet.sqlite import SqliteState\n"
        "state = SqliteState(Path(sys.argv[1]))\n"
        "for _ in range(25):\n"
        "    while True:\n"
        "        found = state.get('n')\n"
        "        old = int(found.value) if found else 0\n"
        "        if state.swap('n', str(old + 1).encode(), found.revision if found else 0): break\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "new" / "state.db")]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    found = SqliteState(tmp_path / "new" / "state.db").get("n")
    assert found is not None
    assert found.value == b"75"


def test_a_lease_of_an_earlier_boot_is_over(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "state.db")
    lease = state.lead("leader", "one", 1000)
    assert lease is not None
    with sqlite3.connect(state.path) as database:
        database.execute("UPDATE lease SET boot = 'another'")
    assert state.leader("leader") == ""
    assert state.renew(lease, 1000) is None
    assert state.lead("leader", "two", 1000) is not None


@pytest.mark.parametrize("content", [b"no database" * 100, None])
def test_what_is_no_database_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(Refusal) as caught:
        SqliteState(path).get("a")
    assert caught.value.code in ("state-refused", "state-unreachable")


def test_nobody_there() -> None:
    with pytest.raises(Refusal) as caught:
        Etcd([f"http://127.0.0.1:{free_port()}"]).get("a")
    assert caught.value.code == "state-unreachable"
    assert "refused" in str(caught.value)


def test_a_server_that_says_nothing_is_passed_over(etcd_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        state = Etcd([url, etcd_url], timeout=0.2)
        assert state.get("t/nothing") is None
        with pytest.raises(Refusal, match="state-unreachable"):
            Etcd([url], timeout=0.2).get("a")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:2379",
        "http:/127.0.0.1",
        "ftp://host",
        "http://",
        "http://host:port",
        "http://[::1",
    ],
)
def test_no_url(url: str) -> None:
    if "://" not in url:
        with pytest.raises(Refusal, match="url-wrong"):
            open_state(url)
    with pytest.raises(Refusal, match="url-wrong") as caught:
        Etcd([url])
    if url == "127.0.0.1:2379":
        shows(caught.value, "url-wrong")


@pytest.mark.parametrize(
    ("version", "found"),
    [('{"etcdserver": "3.3.27"}', "is etcd 3.3.27"), ("hello", "is no etcd"), ("[]", "is no etcd")],
)
def test_another_server_is_refused(version: str, found: str) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(version.encode())

        def log_message(self, *words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(Refusal, match="state-refused") as caught:
            Etcd([f"http://127.0.0.1:{server.server_port}"]).get("a")
        thread.join()
    assert found in str(caught.value)
    if "3.3" in found:
        shows(caught.value, "state-refused")


def test_what_etcd_refuses(etcd_url: str) -> None:
    with pytest.raises(Refusal, match="state-refused") as caught:
        Etcd([etcd_url]).swap("t/large", b"x" * 1_600_000, ABSENT)
    assert "too large" in str(caught.value)


def test_etcd_over_https_with_certificates(tmp_path: Path) -> None:
    """Both sides show one; the gateway in etcd shows the server's own to itself."""
    ours, theirs = (certificate(tmp_path, name) for name in ("ours", "theirs"))
    authorities = tmp_path / "both.pem"
    authorities.write_bytes(b"".join(Path(str(one.own)).read_bytes() for one in (ours, theirs)))
    url, peer = (f"{scheme}://127.0.0.1:{free_port()}" for scheme in ("https", "http"))
    command = ["/usr/bin/etcd", "--data-dir", "data", "--log-level", "error"]
    command += ["--listen-client-urls", url, "--advertise-client-urls", url]
    command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
    command += ["--initial-cluster", f"default={peer}", "--client-cert-auth"]
    command += ["--trusted-ca-file", str(authorities)]
    command += ["--cert-file", str(theirs.own), "--key-file", str(theirs.key)]
    with running(command, tmp_path / "etcd"):
        state = open_state(url, Certificates(theirs.own, ours.own, ours.key))
        wait_for(state)
        assert state.swap("a", b"1", ABSENT) is not None
        for strange in (Certificates(theirs.own), Certificates(ours.own, ours.own, ours.key)):
            with pytest.raises(Refusal, match="state-unreachable"):
                open_state(url, strange).get("a")
