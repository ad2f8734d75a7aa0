# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands from a file or a pipe for a shell in a guest, and its output and errors.

A port has no end of file that surely comes after its last byte (QEMU drops what it has not read of
a socket that is closed), so each piece of input has its size before it: ``5\\n`` and five bytes.
Size 0 is the end.
"""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from suture.lab.marks import MarkedStream

PIECE = 1 << 15

Write = Callable[[bytes], object]
"""Takes output of the guest."""


@dataclass(slots=True)
class _CommandInput:
    """What is on its way from a descriptor to the guest."""

    descriptor: int
    port: socket.socket
    waiting: bytes = b""
    ended: bool = False

    def move(self) -> None:
        """Read the next piece, or send some of the last."""
        if not self.waiting:
            piece = os.read(self.descriptor, PIECE)
            self.ended = not piece
            self.waiting = b"%d\n%b" % (len(piece), piece)
        else:
            self.waiting = self.waiting[self.port.send(self.waiting) :]

    def watch(self, selector: selectors.BaseSelector) -> None:
        """Register what `move` waits for."""
        if self.waiting:
            selector.register(self.port, selectors.EVENT_WRITE)
        elif not self.ended:
            selector.register(self.descriptor, selectors.EVENT_READ)


def connect(
    ports: Sequence[socket.socket], mark: str, commands: int, writes: Sequence[Write]
) -> int | None:
    """Connect a shell in the guest until it ends.

    :param ports: for its input, its output and its errors.
    :param commands: the descriptor that its commands are read from.
    :param writes: for its output and its errors.
    :return: its exit status; None where the guest ended without one.
    """
    moving = _CommandInput(commands, ports[0])
    streams = {port: MarkedStream(mark) for port in ports[1:]}
    writing = dict(zip(ports[1:], writes, strict=True))
    going = list(ports[1:])
    while going:
        for port in _ready(moving, going):
            said = _received(port)
            writing[port](streams[port].feed(said) if said else streams[port].rest())
            if not said or streams[port].status is not None:
                going.remove(port)
    return streams[ports[1]].status


def _received(port: socket.socket) -> bytes:
    try:
        return port.recv(1 << 16)
    except ConnectionResetError:
        return b""


def _ready(moving: _CommandInput, outputs: Sequence[socket.socket]) -> list[socket.socket]:
    """Wait until something can be done, move commands on, and return the ports with output."""
    with selectors.PollSelector() as selector:  # epoll(7) takes no regular file
        moving.watch(selector)
        for port in outputs:
            selector.register(port, selectors.EVENT_READ)
        ready = [key.fileobj for key, _ in selector.select()]
    if any(found not in outputs for found in ready):
        try:
            moving.move()
        except (BrokenPipeError, ConnectionResetError):
            moving.waiting, moving.ended = b"", True  # the guest has ended
    return [port for port in outputs if port in ready]
