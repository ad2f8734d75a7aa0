# SPDX-License-Identifier: GPL-2.0-or-later
"""Progress of long work: rooms call `step`, and the command line decides how that looks.

>>> with step("Unpacking the source", "linux-source-6.1"):
...     pass

The reporter is a context variable: a library user sees nothing without setting one, and no room
passes it on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Reporter(Protocol):
    """Shows the steps of long work, which may nest.  A front end implements it."""

    def begin(self, what: str, detail: str) -> None:
        """Show that a step begins.

        :param detail: what the step works on; may be empty.
        """

    def end(self, what: str, seconds: float, *, failed: bool) -> None:
        """Show that the innermost step has ended.

        :param seconds: how long it took.
        :param failed: an exception ended it.
        """

    def advance(self, done: int, total: int) -> None:
        """Show how much of the innermost step is done: `done` of `total` (bytes, files)."""

    def note(self, text: str) -> None:
        """Show the user a fact that stops nothing."""


class Silent:
    """A reporter that shows nothing; library calls have it by default."""

    def begin(self, what: str, detail: str) -> None:
        """Show nothing."""

    def end(self, what: str, seconds: float, *, failed: bool) -> None:
        """Show nothing."""

    def advance(self, done: int, total: int) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""


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
