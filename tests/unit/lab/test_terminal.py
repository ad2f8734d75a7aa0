# SPDX-License-Identifier: GPL-2.0-or-later
"""The user's terminal, as a pseudo terminal whose other end plays the user; a socket plays the
guest."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import socket
import struct
import subprocess
import sys
import termios
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from suture.lab.terminal import LEAVE_KEY, LeaveKey
from tests.command import SOURCE

SOON = 20

PROGRAM = """
import socket, sys
from suture.lab import terminal
port = socket.socket(fileno=int(sys.argv[1]))
def resize(rows, columns):
    port.sendall(b"size %d %d\\n" % (rows, columns))
print("status", terminal.connect(port, "suture-end-1", resize), flush=True)
"""


@dataclass(slots=True)
class User:
    """A program that connects its terminal with a guest, the user's end and the guest's.

    :ivar before: the settings of the terminal.
    """

    program: subprocess.Popen[bytes]
    keyboard: int
    terminal: int
    guest: socket.socket
    before: list[Any]

    def types(self, keys: bytes) -> None:
        os.write(self.keyboard, keys)

    def sees(self, end: bytes) -> bytes:
        seen = b""
        while end not in seen:
            seen += os.read(self.keyboard, 1 << 10)
        return seen

    def guest_gets(self, end: bytes) -> bytes:
        got = b""
        while not got.endswith(end):
            got += self.guest.recv(1 << 10)
        return got

    def settings(self) -> list[Any]:
        return termios.tcgetattr(self.terminal)


@pytest.fixture
def user() -> Iterator[User]:
    keyboard, terminal = pty.openpty()
    guest, port = socket.socketpair()
    guest.settimeout(SOON)
    before = termios.tcgetattr(terminal)
    program = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(port.fileno())],
        stdin=terminal,
        stdout=terminal,
        stderr=subprocess.PIPE,
        pass_fds=[port.fileno()],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    port.close()
    guest.sendall(b"prompt# ")
    made = User(program, keyboard, terminal, guest, before)
    made.sees(b"prompt# ")
    yield made
    program.kill()
    program.wait()
    guest.close()
    for descriptor in (keyboard, terminal):
        os.close(descriptor)


def test_keys_go_to_the_guest_and_ctrl_c_is_one_of_them(user: User) -> None:
    user.types(b"ls\r\x03\x1a\x04")
    assert user.guest_gets(b"\x04") == b"ls\r\x03\x1a\x04"
    user.guest.sendall(b"bin\r\n\0suture-end-1 7;")
    assert user.sees(b"7\r\n") == b"bin\r\nstatus 7\r\n"
    user.program.wait(SOON)
    assert user.settings() == user.before


def test_a_guest_that_ends_ends_it(user: User) -> None:
    assert user.settings() != user.before
    user.guest.close()
    assert b"status None" in user.sees(b"None")
    user.program.wait(SOON)
    assert user.settings() == user.before


def test_a_new_size_is_told_the_guest(user: User) -> None:
    fcntl.ioctl(user.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 120, 0, 0))
    user.program.send_signal(signal.SIGWINCH)
    assert user.guest_gets(b"\n") == b"size 33 120\n"


def test_after_a_stop_the_terminal_is_raw_again(user: User) -> None:
    raw = user.settings()
    termios.tcsetattr(user.terminal, termios.TCSANOW, user.before)  # as the host's shell does
    user.program.send_signal(signal.SIGCONT)
    user.guest_gets(b"\n")
    assert user.settings() == raw


@pytest.mark.parametrize("way", ["keys", "signal"])
def test_however_it_is_left_the_terminal_is_as_before(user: User, way: str) -> None:
    if way == "keys":
        user.types(bytes([LEAVE_KEY] * 3))
    else:
        user.program.send_signal(signal.SIGINT)
    assert user.program.stderr is not None
    assert b"KeyboardInterrupt" in user.program.stderr.read()
    user.program.wait(SOON)
    assert user.settings() == user.before


def test_a_key_that_leaves_has_to_be_pressed_three_times_in_a_second() -> None:
    key = bytes([LEAVE_KEY])
    assert LeaveKey().saw(key * 3, 0.0)
    slow = LeaveKey()
    assert not any(slow.saw(key, now) for now in (0.0, 0.8, 1.6, 2.4))
    assert not LeaveKey().saw(key * 2 + b"a" + key * 2, 0.0)
    apart = LeaveKey()
    assert [apart.saw(key, now) for now in (0.0, 0.3, 0.6)] == [False, False, True]
