# SPDX-License-Identifier: GPL-2.0-or-later
"""How long work tells what it is doing: rooms call `step`, the command line decides how that looks.

>>> with step("Unpacking the source", "linux-source-6.1"):
...     pass

The reporter is a context variable, so that a library user sees nothing unless they ask, and no room
passes it along.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Reporter(Protocol):
    """What a front end provides.  Steps may nest; `seconds` is how long the step took."""

    def begin(self, what: str, detail: str) -> None: ...

    def end(self, what: str, seconds: float, *, failed: bool) -> None: ...

    def advance(self, done: int, total: int) -> None:
        """Part of the innermost step: `done` of `total` (bytes, files)."""

    def note(self, text: str) -> None:
        """Something the user should know that stops nothing."""


class Silent:
    """The reporter of a library call that nobody watches."""

    def begin(self, what: str, detail: str) -> None:
        pass

    def end(self, what: str, seconds: float, *, failed: bool) -> None:
        pass

    def advance(self, done: int, total: int) -> None:
        pass

    def note(self, text: str) -> None:
        pass


reporter: ContextVar[Reporter] = ContextVar("reporter", default=Silent())  # noqa: B039  (it has no state)


@contextmanager
def step(what: str, detail: str = "") -> Iterator[None]:
    """Report that the block is under way, and how long it took."""
    current = reporter.get()
    started = time.monotonic()
    failed = True
    try:
        current.begin(what, detail)
        yield
        failed = False
    finally:
        current.end(what, time.monotonic() - started, failed=failed)


def advance(done: int, total: int) -> None:
    """Report how much of the innermost step is done."""
    reporter.get().advance(done, total)


def note(text: str) -> None:
    """Report a fact about the innermost step."""
    reporter.get().note(text)
