# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands from a pipe and what comes back, with sockets for the guest's ports."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from suture.lab import streams

END = b"\0suture-end-1 5;"


@pytest.fixture
def ports() -> Iterator[tuple[list[socket.socket], list[socket.socket]]]:
    pairs = [socket.socketpair() for _ in range(3)]
    ours, guests = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    yield ours, guests
    for one in (*ours, *guests):
        one.close()


def pieces(port: socket.socket) -> bytes:
    """What the guest reads of the commands: pieces with their sizes, up to the one of size 0."""
    commands = b""
    with port.makefile("rb") as file:
        while size := int(file.readline()):
            commands += file.read(size)
    return commands


def shell(guests: list[socket.socket], got: list[bytes]) -> None:
    """Plays a shell that reads its commands to the end, and then says and complains something."""
    got.append(pieces(guests[0]))
    guests[1].sendall(b"out" + END)
    guests[2].sendall(b"err" + END)


@pytest.mark.parametrize("size", [0, 10, 3 * streams.PIECE + 1])
def test_commands_arrive_whole_and_output_and_errors_stay_apart(
    ports: tuple[list[socket.socket], list[socket.socket]], size: int, tmp_path: Path
) -> None:
    ours, guests = ports
    commands = os.urandom(size)
    (tmp_path / "commands").write_bytes(commands)
    got: list[bytes] = []
    guest = threading.Thread(target=shell, args=(guests, got))
    guest.start()
    output, errors = bytearray(), bytearray()
    descriptor = os.open(tmp_path / "commands", os.O_RDONLY)  # a file is always ready to be read
    status = streams.connect(ours, "suture-end-1", descriptor, (output.extend, errors.extend))
    guest.join()
    os.close(descriptor)
    assert (status, bytes(output), bytes(errors)) == (5, b"out", b"err")
    assert got == [commands]


def test_a_shell_may_end_before_its_commands(
    ports: tuple[list[socket.socket], list[socket.socket]],
) -> None:
    ours, guests = ports
    for port in guests[1:]:
        port.sendall(END)
    reading, writing = os.pipe()  # to which nothing is ever written
    assert streams.connect(ours, "suture-end-1", reading, (bytearray().extend,) * 2) == 5
    os.close(reading)
    os.close(writing)


def test_a_guest_that_ends_has_no_status(
    ports: tuple[list[socket.socket], list[socket.socket]],
) -> None:
    ours, guests = ports
    output = bytearray()
    guests[1].sendall(b"last words\0")
    for port in guests:
        port.close()
    with open(os.devnull, "rb") as nothing:
        status = streams.connect(
            ours, "suture-end-1", nothing.fileno(), (output.extend, bytearray().extend)
        )
    assert (status, bytes(output)) == (None, b"last words\0")
