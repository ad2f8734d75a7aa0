# SPDX-License-Identifier: GPL-2.0-or-later
"""Our end of the line to the agent; the lab tests have the other."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from suture.lab import initramfs
from suture.lab.channel import Channel, ChannelClosed

SOON = 10.0


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Channel(ours), theirs


def until(seconds: float = SOON) -> float:
    return time.monotonic() + seconds


def test_a_reply_is_read_whole_whatever_bytes_it_holds(ends: tuple[Channel, socket.socket]) -> None:
    channel, peer = ends
    output = b"done 0 3\n\0\xff\r\nready\n"
    peer.sendall(b"ready\ndone 7 %d\n%sdone 0 0\n" % (len(output), output))
    channel.wait_ready(until())
    first = channel.request("run", b"true", "-", until())
    assert (first.status, first.output) == (7, output)
    assert channel.request("put", b"\n\0", "/a", until()).status == 0
    assert peer.recv(100) == b"run 4 -\ntrueput 2 /a\n\n\0"


def test_a_reply_that_stops_half_way_ends_at_the_deadline(
    ends: tuple[Channel, socket.socket],
) -> None:
    channel, peer = ends
    peer.sendall(b"done 0 10\nhalf")
    with pytest.raises(TimeoutError):
        channel.request("run", b"", "-", until(0.05))
    assert channel.received() == b"half"


def test_a_deadline_that_has_passed_ends_a_request_at_once(
    ends: tuple[Channel, socket.socket],
) -> None:
    with pytest.raises(TimeoutError):
        ends[0].request("run", b"", "-", until(-1))


def test_the_end_of_the_other_side_is_noticed(ends: tuple[Channel, socket.socket]) -> None:
    channel, peer = ends
    peer.sendall(b"done 0 10\nhalf")
    peer.close()
    with pytest.raises(ChannelClosed):
        channel.request("run", b"", "-", until())


@pytest.mark.parametrize(
    "garbage", [b"what 0 0\n", b"done\n", b"done x y\n", b"done 0 -5\n", b"\n"]
)
def test_an_answer_that_makes_no_sense_is_the_end_of_the_line(
    ends: tuple[Channel, socket.socket], garbage: bytes
) -> None:
    channel, peer = ends
    peer.sendall(garbage)
    with pytest.raises(ChannelClosed):
        channel.request("run", b"", "-", until())


def test_the_agents_script_names_every_verb_that_is_sent() -> None:
    script = initramfs.script("agent.sh").decode()
    assert all(f"\t{verb})" in script for verb in ("run", "put", "append", "off"))
    subprocess.run([initramfs.BUSYBOX, "sh", "-n"], input=script.encode(), check=True)
