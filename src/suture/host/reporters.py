# SPDX-License-Identifier: GPL-2.0-or-later
"""Reporters for stderr: a spinner with the time so far on a terminal, one line for each step
elsewhere."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from suture.host.progress import Reporter
from suture.host.terminal import console, has_rich, printable

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

INDENT = "  "


def for_stderr() -> Reporter:
    """Return the reporter that suits stderr: a terminal, or a file or pipe."""
    live = sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
    return LiveSteps() if live and has_rich() else PlainSteps(sys.stderr)


class PlainSteps:
    """Writes steps as lines: ``Unpacking the source … 10.2 s``.

    The name is written when the step begins, so that the log of hung work shows the step that
    hangs.  Where another line comes between, the name is repeated with the time.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._depth = 0
        self._open = False

    def begin(self, what: str, detail: str) -> None:
        """Write the step's name, without ending the line."""
        self._finish_line()
        self._open = True  # before the line is written: a signal may come in between
        self._depth += 1
        self._write(INDENT * (self._depth - 1) + _named(what, detail) + " … ")

    def end(self, what: str, seconds: float, *, failed: bool) -> None:
        """Write how long the innermost step took."""
        self._depth -= 1
        if not self._open:
            self._write(INDENT * self._depth + f"{printable(what)} … ")
        self._write(("failed after " if failed else "") + f"{seconds:.1f} s\n")
        self._open = False

    def advance(self, done: int, total: int) -> None:
        """Write nothing."""

    def note(self, text: str) -> None:
        """Write a fact on a line of its own."""
        self._finish_line()
        self._write(INDENT * self._depth + printable(text) + "\n")

    def _finish_line(self) -> None:
        if self._open:
            self._write("\n")
            self._open = False

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


@dataclass(slots=True)
class _ReportedStep:
    label: str
    started: float
    share: str = ""


class LiveSteps:
    """Shows steps on a terminal: steps under way at the bottom with a spinner, finished ones as
    lines above."""

    def __init__(self) -> None:
        self._console = console(stderr=True)
        self._steps: list[_ReportedStep] = []
        self._live: Live | None = None

    def begin(self, what: str, detail: str) -> None:
        """Show a step with a spinner and the time so far."""
        self._steps.append(_ReportedStep(_named(what, detail), time.monotonic()))
        if self._live is None:
            from rich.live import Live

            self._live = Live(
                get_renderable=self._under_way,
                console=self._console,
                refresh_per_second=8,
                transient=True,
                redirect_stdout=False,  # results go to stdout, which may be a file
                redirect_stderr=False,
            )
            self._live.start()

    def end(self, what: str, seconds: float, *, failed: bool) -> None:
        """Turn the innermost step into a finished line."""
        if not self._steps:
            return  # it was interrupted before it began
        step = self._steps.pop()
        if not self._steps and self._live is not None:
            self._live.stop()
            self._live = None
        mark, style = ("✗", "red") if failed else ("✓", "green")
        self._line(
            (f"{mark} ", style),
            INDENT * len(self._steps) + step.label,
            (f"  {seconds:.1f} s", "dim"),
        )

    def advance(self, done: int, total: int) -> None:
        """Show the innermost step's share in percent."""
        if self._steps and total > 0:
            self._steps[-1].share = f"{100 * done // total} %"

    def note(self, text: str) -> None:
        """Show a fact above the steps under way."""
        self._line(("• ", "yellow"), INDENT * len(self._steps) + printable(text))

    def _line(self, *parts: str | tuple[str, str]) -> None:
        from rich.text import Text

        self._console.print(Text.assemble(*parts), soft_wrap=True)

    def _under_way(self) -> Text:
        from rich.spinner import Spinner
        from rich.text import Text

        now = time.monotonic()
        frames = Spinner("dots").frames
        frame = frames[int(now * 8) % len(frames)]
        lines = [
            Text.assemble(
                (f"{frame} ", "cyan"),
                INDENT * depth,
                step.label,
                (f"  {now - step.started:.0f} s {step.share}", "dim"),
            )
            for depth, step in enumerate(list(self._steps))
        ]
        return Text("\n", no_wrap=True, overflow="ellipsis").join(lines)


def _named(what: str, detail: str) -> str:
    return printable(f"{what}: {detail}" if detail else what)
