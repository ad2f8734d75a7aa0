# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests and answers as values, and what a server allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server allows.

    :ivar connections: at a time.
    :ivar seconds: for a whole request, and again for its answer; also for a TLS handshake.
    :ivar idle: seconds in which a kept connection has to begin its next request.
    :ivar body: bytes of a request's body.
    :ivar threads: that answer.
    :ivar backlog: connections that wait in the kernel.
    """

    connections: int = 256
    seconds: float = 10.0
    idle: float = 5.0
    body: int = 4096
    threads: int = 8
    backlog: int = 1024


@dataclass(frozen=True, slots=True)
class WebRequest:
    """A whole request.

    :ivar headers: by their names in lower case.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """What goes back."""

    status: int
    body: bytes = b""
    kind: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[WebRequest], WebAnswer]
"""Answers a request; called in threads.  Whatever it raises is answered with status 500."""
