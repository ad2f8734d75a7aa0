# SPDX-License-Identifier: GPL-2.0-or-later
"""An etcd of three members in network namespaces of their own, of which the one that leads is cut
off, with a lock server beside it, and comes back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.servers import PATIENCE, running

MEMBERS = ("m0", "m1", "m2")


def ip(*words: str, within: str = "") -> None:
    subprocess.run([*entering(within), "ip", *words], check=True, capture_output=True)


def entering(namespace: str) -> list[str]:
    """The words before a command that run it in a namespace: unlike ``ip netns exec``, nsenter(1)
    mounts nothing, which fails in a chroot."""
    return ["nsenter", f"--net=/run/netns/{namespace}"] if namespace else []


class Network:
    """Namespaces that hang on one bridge, in a namespace too: nothing of the host is touched."""

    def __init__(self) -> None:
        self._prefix = f"suture-{os.getpid()}-"

    def name(self, member: str) -> str:
        return f"{self._prefix}{member}"

    def address(self, member: str) -> str:
        return f"10.99.0.{1 + MEMBERS.index(member)}" if member in MEMBERS else "10.99.0.254"

    def within(self, member: str, *command: str) -> list[str]:
        """The command that runs another one in a namespace."""
        return [*entering(self.name(member)), *command]

    def set_link(self, member: str, state: str) -> None:
        ip("link", "set", f"p-{member}", state, within=self.name("hub"))

    @contextmanager
    def up(self) -> Iterator[Network]:
        try:
            hub = self.name("hub")
            try:
                ip("netns", "add", hub)
            except subprocess.CalledProcessError as error:
                pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
            ip("link", "add", "br0", "type", "bridge", within=hub)
            ip("addr", "add", f"{self.address('hub')}/24", "dev", "br0", within=hub)
            for device in ("lo", "br0"):
                ip("link", "set", device, "up", within=hub)
            for member in MEMBERS:
                name, peer = self.name(member), f"p-{member}"
                ip("netns", "add", name)
                veth = ("type", "veth", "peer", "name", peer, "netns", hub)
                ip("link", "add", "e0", "netns", name, *veth)
                ip("link", "set", peer, "master", "br0", "up", within=hub)
                ip("addr", "add", f"{self.address(member)}/24", "dev", "e0", within=name)
                for device in ("lo", "e0"):
                    ip("link", "set", device, "up", within=name)
            yield self
        finally:
            for member in ("hub", *MEMBERS):
                subprocess.run(
                    ["ip", "netns", "del", self.name(member)], capture_output=True, check=False
                )


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """The network, with etcd on it, and a lock server in each namespace: that of a member knows this
    member alone, the one in the hub all of them."""
    if os.geteuid() != 0:
        pytest.skip("only root makes network namespaces")
    with Network().up() as made, ExitStack() as stack:
        peers = ",".join(f"{member}=http://{made.address(member)}:2380" for member in MEMBERS)
        for member in MEMBERS:
            client, peer = (f"http://{made.address(member)}:{port}" for port in (2379, 2380))
            words = ["--name", member, "--data-dir", "data", "--unsafe-no-fsync"]
            words += ["--listen-client-urls", client, "--advertise-client-urls", client]
            words += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
            words += ["--initial-cluster", peers, "--log-level", "error"]
            command = made.within(member, "/usr/bin/etcd", *words)
            stack.enter_context(running(command, tmp_path / member))
        for place in ("hub", *MEMBERS):
            known = MEMBERS if place == "hub" else (place,)
            state = ",".join(f"http://{made.address(member)}:2379" for member in known)
            words = ["-m", "suture", "fleetlock", "serve", "--listen", "127.0.0.1:3333"]
            command = made.within(place, sys.executable, *words, "--state", state)
            stack.enter_context(running(command, tmp_path / f"lock-{place}"))
        yield made


def status(network: Network, place: str, path: str, host: str) -> int:
    """What the lock server of a place answers a host; 0 for nothing."""
    body = json.dumps({"client_params": {"group": "default", "id": host}})
    curl = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-d", body]
    curl += ["-H", "fleet-lock-protocol: true", f"http://127.0.0.1:3333/v1/{path}"]
    done = subprocess.run(network.within(place, *curl), capture_output=True, check=False)
    return int(done.stdout)


def until(network: Network, place: str, path: str, host: str, wanted: int) -> list[int]:
    """Ask until the answer is the one that is wanted; return those before."""
    deadline, before = time.monotonic() + PATIENCE, []
    while (found := status(network, place, path, host)) != wanted:
        before.append(found)
        assert time.monotonic() < deadline, before
        time.sleep(0.2)
    return before


def leader(network: Network) -> str:
    endpoints = ",".join(f"http://{network.address(member)}:2379" for member in MEMBERS)
    command = ["etcdctl", "--endpoints", endpoints, "endpoint", "status"]
    done = subprocess.run(
        network.within("hub", *command),
        env={**os.environ, "ETCDCTL_API": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = (line for line in done.stdout.splitlines() if ", true, " in line)
    return next(member for member in MEMBERS if f"{network.address(member)}:" in line)


def test_a_member_that_is_cut_off_gives_no_slots(network: Network) -> None:
    until(network, "hub", "steady-state", "one", 400)  # it answers: there is no such group yet
    urls = ",".join(f"http://{network.address(member)}:2379" for member in MEMBERS)
    words = ["-m", "suture", "fleetlock", "slots", "default", "1", "--state", urls]
    subprocess.run(network.within("hub", sys.executable, *words), check=True, capture_output=True)
    cut_off = leader(network)
    assert status(network, cut_off, "pre-reboot", "one") == 200
    assert status(network, cut_off, "steady-state", "one") == 200

    network.set_link(cut_off, "down")
    assert status(network, cut_off, "pre-reboot", "two") == 503
    until(network, "hub", "pre-reboot", "three", 200)
    assert status(network, cut_off, "pre-reboot", "two") == 503

    network.set_link(cut_off, "up")
    before = until(network, cut_off, "pre-reboot", "two", 423)
    assert 200 not in before
    assert status(network, "hub", "steady-state", "three") == 200
    until(network, cut_off, "pre-reboot", "two", 200)
    assert status(network, "hub", "pre-reboot", "three") == 423
