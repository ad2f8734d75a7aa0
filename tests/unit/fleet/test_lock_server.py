# SPDX-License-Identifier: GPL-2.0-or-later
"""The lock server, as Zincati and others speak to it."""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from suture.cli.app import main
from suture.errors import Refusal
from suture.fleet.etcd import Etcd
from suture.fleet.http import Answer, Certificates, WebServer
from suture.fleet.lock_client import LockClient
from suture.fleet.lock_server import LockServer
from suture.fleet.serving import Service
from suture.fleet.slots import RebootSlots
from suture.fleet.sqlite import SqliteState
from suture.fleet.state import SharedState
from suture.fleet.web import Limits
from tests.examples import shows
from tests.servers import certificate, free_port

HEADER = {"fleet-lock-protocol": "true"}
BODY = b'{"client_params": {"group": "default", "id": "c988d2509fdf5cdcbed39037c56406fb"}}'
"""As in the protocol's specification."""


@contextmanager
def served(
    state: SharedState, *, limits: Limits | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Run a server in a thread; give its address."""
    service = Service(LockServer(RebootSlots(state)).answer, tls=tls, limits=limits)
    with service.in_background("127.0.0.1", 0) as address:
        yield address


@pytest.fixture
def kept(tmp_path: Path) -> SqliteState:
    state = SqliteState(tmp_path / "state.db")
    RebootSlots(state).set_slots("default", 1)
    return state


@pytest.fixture
def server(kept: SqliteState) -> Iterator[WebServer]:
    with served(kept) as address:
        yield WebServer(f"http://{address}")


def post(server: WebServer, path: str, body: bytes = BODY) -> Answer:
    return server.request("POST", path, body, HEADER)


def error(answer: Answer) -> tuple[int, str]:
    found = json.loads(answer.body)
    assert set(found) == {"kind", "value"}
    assert found["value"]
    return answer.status, found["kind"]


def body(group: object, host: object) -> bytes:
    return json.dumps({"client_params": {"group": group, "id": host}}).encode()


def test_a_host_reboots_in_its_turn(server: WebServer, kept: SqliteState) -> None:
    assert post(server, "/v1/pre-reboot").status == 200
    assert post(server, "/v1/pre-reboot").status == 200
    other = body("default", "other")
    assert error(post(server, "/v1/pre-reboot", other)) == (423, "failed_lock_semaphore_full")
    assert post(server, "/v1/steady-state", other).status == 200  # it held none
    assert error(post(server, "/v1/pre-reboot", other)) == (423, "failed_lock_semaphore_full")
    assert post(server, "/v1/steady-state").status == 200
    assert post(server, "/v1/pre-reboot", other).status == 200
    RebootSlots(kept).set_slots("default", 2)
    assert post(server, "/v1/pre-reboot").status == 200


def test_curl_as_in_the_specification(server: WebServer) -> None:
    url = f"{server.url}/v1/pre-reboot"
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}"]
    command += ["-H", "fleet-lock-protocol: true", "-d", BODY.decode(), url]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"200"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"[]",
        b'{"client_params": []}',
        b'{"client_params": {"group": "default"}}',
        body("", "one"),
        body("default", ""),
        body("a/b", "one"),
        body("default", "one\ntwo"),
        body("default", 1),
        body(["default"], "one"),
        body("default", "x" * 129),
        b"[" * 4000,
        b"\xff\xfe",
    ],
)
def test_what_is_no_request_of_the_protocol(server: WebServer, content: bytes) -> None:
    answer = post(server, "/v1/pre-reboot", content)
    assert error(answer) == (400, "invalid_client_identity")


def test_other_wrong_requests(server: WebServer) -> None:
    assert error(server.request("POST", "/v1/pre-reboot", BODY)) == (400, "invalid_client_identity")
    no = {"fleet-lock-protocol": "yes"}
    assert error(server.request("POST", "/v1/pre-reboot", BODY, no))[0] == 400
    unknown = body("workers", "one")
    for path in ("/v1/pre-reboot", "/v1/steady-state"):
        assert error(post(server, path, unknown)) == (400, "unknown_group")
        assert error(server.request("GET", path, None, HEADER)) == (405, "method_not_allowed")
    assert error(post(server, "/v1/reboot")) == (404, "not_found")
    assert error(server.request("POST", "/metrics")) == (405, "method_not_allowed")
    assert post(server, "/v1/pre-reboot", b" " * 5000).status == 413
    assert post(server, "/v1/pre-reboot").status == 200


def test_an_older_zincati_calls_its_id_otherwise(server: WebServer, kept: SqliteState) -> None:
    old = (
        b'{"client_params": {"group": "default", "node_uuid": "e0f3745b108f471cbd4883c6fbed8cdd"}}'
    )
    assert post(server, "/v1/pre-reboot", old).status == 200
    assert RebootSlots(kept).groups()["default"].holders == ("e0f3745b108f471cbd4883c6fbed8cdd",)


def test_metrics_are_prometheus(server: WebServer) -> None:
    post(server, "/v1/pre-reboot")
    post(server, "/v1/pre-reboot", body("default", "other"))
    text = server.request("GET", "/metrics").body
    check = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (check.returncode, check.stdout) == (0, b"")
    lines = text.decode().splitlines()
    assert 'suture_fleetlock_slots{group="default"} 1' in lines
    assert 'suture_fleetlock_holders{group="default"} 1' in lines
    assert "suture_fleetlock_state_up 1" in lines
    full = 'endpoint="pre-reboot",result="failed_lock_semaphore_full"'
    assert f"suture_fleetlock_requests_total{{{full}}} 1" in lines
    assert any(line.startswith("suture_fleetlock_oldest_slot_seconds{") for line in lines)
    assert server.request("GET", "/-/healthy").body == b"ok\n"


def test_no_slot_is_given_while_the_state_is_away() -> None:
    with served(Etcd([f"http://127.0.0.1:{free_port()}"])) as address:
        server = WebServer(f"http://{address}")
        assert error(post(server, "/v1/pre-reboot")) == (503, "state_unavailable")
        assert b"suture_fleetlock_state_up 0\n" in server.request("GET", "/metrics").body


def exchange(address: str, data: bytes) -> bytes:
    """Send bytes, and return all that comes back."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


REQUEST = (
    b"POST /v1/pre-reboot HTTP/1.1\r\nHost: a\r\nfleet-lock-protocol: true\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", b"400"),
        (b"hello\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),  # HTTP/1.1 wants a Host
        (b"GET /" + b"a" * 100_000, b"431"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc", b"400"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
    ],
)
def test_damaged_requests(server: WebServer, data: bytes, status: bytes) -> None:
    address = server.url.removeprefix("http://")
    assert exchange(address, data).split()[1] == status
    assert exchange(address, b"") == b""
    assert exchange(address, REQUEST * 3).count(b"HTTP/1.1 200 OK\r\n") == 3


def test_idle_and_slow_connections_do_not_keep_others_out(kept: SqliteState) -> None:
    with served(kept, limits=Limits(connections=2, seconds=0.2, idle=0.2)) as address:
        host, _, port = address.rpartition(":")
        # One says nothing, one does not end its head, one its body, and one never reads.
        said = (b"", b"POST /v1/pre", REQUEST[:-1], REQUEST * 50)
        slow = []
        for data in said * 3:
            connection = socket.create_connection((host, int(port)))
            connection.sendall(data)
            slow.append(connection)
        with ThreadPoolExecutor(8) as threads:
            servers = [WebServer(f"http://{address}", timeout=60) for _ in range(8)]
            assert {answer.status for answer in threads.map(asked, servers)} == {200}
        for connection in slow:
            connection.close()


def asked(server: WebServer) -> Answer:
    return post(server, "/v1/steady-state")


def test_many_hosts_and_several_servers_on_one_etcd(etcd_url: str) -> None:
    """500 hosts ask two servers at once for the seven slots."""
    RebootSlots(Etcd([etcd_url])).set_slots("many", 7)
    try:
        with served(Etcd([etcd_url])) as one, served(Etcd([etcd_url])) as two:
            servers = [WebServer(f"http://{address}", timeout=60) for address in (one, two)]

            def ask(number: int) -> int:
                request = body("many", f"host-{number}")
                return post(servers[number % 2], "/v1/pre-reboot", request).status

            with ThreadPoolExecutor(16) as threads:
                statuses = list(threads.map(ask, range(500)))
        assert sorted(set(statuses)) == [200, 423]
        assert statuses.count(200) == 7
        assert len(RebootSlots(Etcd([etcd_url])).groups()["many"].holders) == 7
    finally:
        state = Etcd([etcd_url])
        for key, found in state.under("com.coreos.airlock/groups/many/").items():
            state.delete(key, found.revision)


def test_https_with_certificates_of_hosts(kept: SqliteState, tmp_path: Path) -> None:
    ours, host = certificate(tmp_path, "server"), certificate(tmp_path, "host")
    tls = Certificates(host.own, ours.own, ours.key).server_context()
    with served(kept, tls=tls) as address:
        url = f"https://{address}"
        LockClient(url, "default", "one", Certificates(ours.own, host.own, host.key)).pre_reboot()
        for strange in (Certificates(ours.own), Certificates(), Certificates(host.own)):
            with pytest.raises(Refusal, match="lock-server-unreachable"):
                LockClient(url, "default", "one", strange).pre_reboot()
        with pytest.raises(Refusal, match="lock-server-unreachable"):
            LockClient(f"http://{address}", "default", "one").pre_reboot()
    for wrong in (Certificates(own=tmp_path / "none"), Certificates(own=ours.key)):
        with pytest.raises(Refusal, match="file-unreadable"):
            wrong.server_context()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["slots", "a/b", "1"], 2, "other characters than"),
        (["slots", "default", "-1"], 2, "-1"),
        (["release", "default", "one"], 1, "group-unknown"),
        (["serve", "--listen", "3333"], 2, "ADDRESS:PORT"),
        (["serve", "--listen", "192.0.2.1:3333"], 1, "address-unusable"),
        (["serve", "--listen", "no.such.host.invalid:3333"], 1, "address-unusable"),
        (["serve", "--tls-cert", "/no/such/file"], 1, "file-unreadable"),
        (["reboot"], 2, "--server"),
        (["reboot", "--server", "lock:3333", "--id", "one"], 1, "url-wrong"),
    ],
)
def test_wrong_command_lines(
    words: list[str],
    status: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SUTURE_FLEET_STATE", str(tmp_path / "state.db"))
    assert main(["fleetlock", *words]) == status
    printed = capsys.readouterr().err
    assert re.search(said, printed)
    if said == "address-unusable" and "192" in words[2]:
        shows(printed, "address-unusable")


def test_a_server_wants_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A module that cannot be imported, as on a host without it."""
    monkeypatch.setenv("SUTURE_FLEET_STATE", str(tmp_path / "state.db"))
    monkeypatch.setitem(sys.modules, "h11", None)
    monkeypatch.delitem(sys.modules, "suture.fleet.serving")
    assert main(["fleetlock", "serve"]) == 1
    shows(capsys.readouterr().err, "fleet-extra-missing")
    assert main(["fleetlock", "slots", "default", "1"]) == 0
