# SPDX-License-Identifier: GPL-2.0-or-later
"""Real servers, started by the tests and ended with them."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from suture.errors import Refusal
from suture.fleet.etcd import Etcd
from suture.fleet.http import Certificates
from suture.fleet.state import SharedState

PATIENCE = 60.0
"""Seconds after which a server that does not answer is a failure, however busy the machine."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server; what it says is in a file."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@dataclass
class Member:
    """One etcd."""

    name: str
    client: str
    peer: str
    process: subprocess.Popen[bytes]


@contextmanager
def etcd_cluster(directory: Path, size: int) -> Iterator[list[Member]]:
    ports = [(free_port(), free_port()) for _ in range(size)]
    peers = ",".join(f"m{i}=http://127.0.0.1:{peer}" for i, (_, peer) in enumerate(ports))
    with ExitStack() as stack:
        members = []
        for index, (client, peer) in enumerate(ports):
            url, peer_url = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
            command = ["/usr/bin/etcd", "--name", f"m{index}", "--data-dir", "data"]
            command += ["--listen-client-urls", url, "--advertise-client-urls", url]
            command += ["--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url]
            command += ["--initial-cluster", peers, "--unsafe-no-fsync", "--log-level", "error"]
            process = stack.enter_context(running(command, directory / f"m{index}"))
            members.append(Member(f"m{index}", url, peer_url, process))
        wait_for(Etcd([member.client for member in members]))
        yield members


def wait_for(state: SharedState) -> None:
    """Wait until a store answers."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            state.get("ready")
        except Refusal:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def certificate(directory: Path, name: str) -> Certificates:
    """A certificate that vouches for itself."""
    own, key = directory / f"{name}.pem", directory / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-keyout", str(key), "-out", str(own), "-subj", f"/CN={name}"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, capture_output=True, check=True)
    return Certificates(own, own, key)
