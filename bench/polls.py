# SPDX-License-Identifier: GPL-2.0-or-later
"""What polling hosts cost: nginx with one worker serves the two files that an up-to-date host asks
for, over loopback, and a host polls again and again.

    .venv/bin/python -m bench.polls [--polls 100000] [--hosts 500] [--json]

Memory is the most that a process ever had resident (``VmHWM``).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.child import peak_memory
from tests.nginx import served_by_nginx
from tests.unit.repo.site import Site, ToyHost, fix

CONNECTIONS = 50
TICKS = os.sysconf("SC_CLK_TCK")

ASKED = ("/metadata/2.root.json", "/metadata/timestamp.json")
"""What a host asks for that is up to date; the first is not there."""


def main(words: Sequence[str]) -> int:
    """Measure, and print a table or a document."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--polls", type=int, default=100_000)
    parser.add_argument("--hosts", type=int, default=500, help="real polls by one process")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="suture-") as work:
        found = measured(Path(work), chosen.polls, chosen.hosts)
    if chosen.json:
        print(json.dumps(found, indent=2))
    else:
        for name, value in found.items():
            print(f"{name:34} {value:12,.1f}")
    return 0


def measured(work: Path, polls: int, hosts: int) -> dict[str, float]:
    """Return what was measured, by name."""
    site = Site.make(work / "site")
    site.publish(fix("first"))
    site.promote("first")
    with served_by_nginx(site.path, work / "nginx", access=False) as url:
        (worker,) = _workers(int((work / "nginx/pid").read_text()))
        before = _cpu_seconds(worker)
        started = time.monotonic()
        _poll(int(url.rpartition(":")[2]), polls)
        wall, cpu = time.monotonic() - started, _cpu_seconds(worker) - before
        found = {
            "polls": float(polls),
            "polls a second, wall clock": polls / wall,
            "polls a second of nginx's core": polls / cpu if cpu else 0.0,
            "nginx worker, MiB": _peak(worker) / 1024,
        }
        host = ToyHost(work / "host")
        host.follow(url, root=site.root)
        early = peak_memory()
        started, began = time.monotonic(), time.process_time()
        for _ in range(hosts):
            assert host.follow(url, root=site.root).refusals == ()
        return found | {
            "real polls": float(hosts),
            "ms each, wall clock": (time.monotonic() - started) / hosts * 1000,
            "ms each, CPU of the host": (time.process_time() - began) / hosts * 1000,
            "host after the first poll, MiB": early / 1048576,
            "host after all of them, MiB": peak_memory() / 1048576,
        }


def _poll(port: int, polls: int) -> None:
    """Ask as that many up-to-date hosts do, over connections that stay open."""
    request = "".join(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: bench\r\n\r\n" for path in ASKED
    ).encode()
    with _connections(port) as connections:
        files = [connection.makefile("rb") for connection in connections]
        done = 0
        while done < polls:
            at_once = min(CONNECTIONS, polls - done)
            for connection in connections[:at_once]:
                connection.sendall(request)
            for file in files[:at_once]:
                assert [_answer(file), _answer(file)] == [404, 200]
            done += at_once


@contextmanager
def _connections(port: int) -> Iterator[list[socket.socket]]:
    opened = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]
    try:
        yield opened
    finally:
        for connection in opened:
            connection.close()


def _answer(file: object) -> int:
    """Read an answer to its end, and return its status."""
    read = file.readline, file.read  # type: ignore[attr-defined]
    status = int(read[0]().split()[1])
    length = 0
    while (line := read[0]()) != b"\r\n":
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    read[1](length)
    return status


def _workers(master: int) -> list[int]:
    return [
        int(word) for word in Path(f"/proc/{master}/task/{master}/children").read_text().split()
    ]


def _cpu_seconds(pid: int) -> float:
    """``proc_pid_stat(5)``: utime and stime."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _peak(pid: int) -> int:
    """Return KiB."""
    match = re.search(r"^VmHWM:\s*(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(match[1]) if match else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
