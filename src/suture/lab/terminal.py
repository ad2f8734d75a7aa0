# SPDX-License-Identifier: GPL-2.0-or-later
"""The user's terminal, connected to the terminal of a guest.

This side is raw: every key goes to the guest, Ctrl-C too, and the guest's own terminal echoes and
edits.  However the block ends, the terminal is as it was before.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from suture.lab.marks import MarkedStream

LEAVE_KEY = 0x1D
"""Ctrl-], as machinectl(1) has it."""

LEAVE_TIMES, LEAVE_WITHIN = 3, 1.0

Resize = Callable[[int, int], None]
"""Is told rows and columns."""


@dataclass(slots=True)
class LeaveKey:
    """Notices Ctrl-] three times within a second: the way out of a guest that hangs."""

    pressed: tuple[float, ...] = ()

    def saw(self, data: bytes, now: float) -> bool:
        """Take what was typed, and tell whether the user wants to leave."""
        for key in data:
            recent = tuple(then for then in self.pressed if now - then <= LEAVE_WITHIN)
            self.pressed = (*recent, now) if key == LEAVE_KEY else ()
        return len(self.pressed) >= LEAVE_TIMES


def size_of(terminal: int) -> tuple[int, int]:
    """Return a terminal's rows and columns."""
    columns, rows = os.get_terminal_size(terminal)
    return (rows or 24), (columns or 80)


@contextmanager
def raw(terminal: int) -> Iterator[Callable[[], None]]:
    """Make a terminal raw.  The block gets a function that does so again, after a stop in which
    the shell of the host has set it."""
    before = termios.tcgetattr(terminal)
    try:
        tty.setraw(terminal, termios.TCSADRAIN)
        yield lambda: tty.setraw(terminal, termios.TCSADRAIN)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


@contextmanager
def signals(*numbers: int) -> Iterator[socket.socket]:
    """Deliver signals as bytes of their numbers, which a selector can wait for."""
    ours, pythons = socket.socketpair()
    ours.setblocking(False)
    pythons.setblocking(False)
    handlers = {number: signal.signal(number, lambda number, frame: None) for number in numbers}
    wakeup = signal.set_wakeup_fd(pythons.fileno(), warn_on_full_buffer=False)
    try:
        yield ours
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        ours.close()
        pythons.close()


def connect(port: socket.socket, mark: str, resize: Resize) -> int | None:
    """Connect the terminal on stdin and stdout with the guest's until the session ends.

    :param resize: sets the size of the guest's terminal.
    :return: the exit status of the session; None where the guest ended without one.
    :raises KeyboardInterrupt: the user wants to leave, or the terminal is gone
    """
    stdin, stdout = 0, 1
    stream, leave = MarkedStream(mark), LeaveKey()
    with (
        raw(stdin) as make_raw,
        signals(signal.SIGWINCH, signal.SIGCONT) as came,
        selectors.DefaultSelector() as selector,
    ):
        for source in (stdin, port, came):
            selector.register(source, selectors.EVENT_READ)
        while stream.status is None:
            ready = {key.fileobj for key, _ in selector.select()}
            if came in ready:
                if signal.SIGCONT in came.recv(1 << 10):
                    make_raw()
                resize(*size_of(stdin))
            if stdin in ready:
                typed = os.read(stdin, 1 << 12)
                if not typed or leave.saw(typed, time.monotonic()):
                    raise KeyboardInterrupt
                port.sendall(typed)
            if port in ready:
                said = _received(port)
                if not said:
                    _write(stdout, stream.rest())
                    break
                _write(stdout, stream.feed(said))
    return stream.status


def _received(port: socket.socket) -> bytes:
    try:
        return port.recv(1 << 16)
    except ConnectionResetError:
        return b""


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
