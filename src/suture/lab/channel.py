# SPDX-License-Identifier: GPL-2.0-or-later
"""The channel to the agent in the guest: one request at a time, all bytes unchanged.

``agent.sh`` is the other end, and `suture.lab.qemu.Wire` carries the bytes.  Sizes are in bytes, in
decimal::

    guest                host
    ready\\n
                         VERB SIZE ARGUMENT\\n  and SIZE bytes
    done STATUS SIZE\\n   and SIZE bytes

A serial port has no flow control here: the kernel buffers at most 640 KiB of input that nobody
reads (``drivers/tty/tty_buffer.c: TTYB_DEFAULT_MEM_LIMIT``) and drops the rest, so a request may
hold `MAX_PAYLOAD` bytes.
"""

from __future__ import annotations

import re
import socket
import time
from dataclasses import dataclass

MAX_PAYLOAD = 256 * 1024
READY = b"ready"
DONE = re.compile(rb"done (\d{1,9}) +(\d{1,12})")


class ChannelClosed(Exception):
    """The other end is gone, or is no longer our agent."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The agent's reply to one request."""

    status: int
    output: bytes


class Channel:
    """The host's end of the channel.

    Every method with a deadline `until`, in seconds of ``time.monotonic()``, raises TimeoutError at
    that time, and `ChannelClosed` where the virtual machine has ended.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = bytearray()

    def wait_ready(self, until: float) -> None:
        """Wait until the agent has started.

        :raises TimeoutError: at `until`
        :raises ChannelClosed: the virtual machine has ended
        """
        while self._line(until) != READY:
            pass

    def request(self, verb: str, payload: bytes, argument: str, until: float) -> Reply:
        """Send a request, and wait for its reply.

        :param payload: at most `MAX_PAYLOAD` bytes.
        :raises TimeoutError: at `until`
        :raises ChannelClosed: the virtual machine has ended, or the answer is not the agent's
        """
        self._send(f"{verb} {len(payload)} {argument}\n".encode() + payload, until)
        answer = DONE.fullmatch(line := self._line(until))
        if answer is None:
            raise ChannelClosed(f"the agent answered {line!r}")
        return Reply(int(answer[1]), self._take(int(answer[2]), until))

    def send_only(self, verb: str, until: float) -> None:
        """Send a request that has no reply."""
        self._send(f"{verb} 0 -\n".encode(), until)

    def received(self) -> bytes:
        """Return the bytes of an incomplete reply."""
        return bytes(self._received)

    def _send(self, data: bytes, until: float) -> None:
        self._connection.settimeout(_left(until))
        try:
            self._connection.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ChannelClosed from error

    def _line(self, until: float) -> bytes:
        while (end := self._received.find(b"\n")) < 0:
            self._receive(until)
        return self._cut(end + 1)[:-1]

    def _take(self, size: int, until: float) -> bytes:
        while len(self._received) < size:
            self._receive(until)
        return self._cut(size)

    def _cut(self, size: int) -> bytes:
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def _receive(self, until: float) -> None:
        self._connection.settimeout(_left(until))
        try:
            data = self._connection.recv(1 << 16)
        except ConnectionResetError as error:
            raise ChannelClosed from error
        if not data:
            raise ChannelClosed
        self._received += data


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
