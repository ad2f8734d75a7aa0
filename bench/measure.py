# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs: commands in processes of their own, and what the system says of them when they have
ended."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
REST = "Starting, and the rest"


class Failed(Exception):
    """A command that was to be timed did not do its work; the text is what it printed."""


@dataclass(frozen=True, slots=True)
class Step:
    """:ivar depth: 0, or how many steps it is part of.  :ivar seconds: wall clock."""

    depth: int
    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Run:
    """One run.

    :ivar wall: seconds from start to end, as who waits for it sees them.
    :ivar cpu: seconds of user and system time, of all processes together.
    :ivar peak: the most bytes that the Python process had resident; 0 where there is none.
    """

    wall: float
    cpu: float
    peak: int = 0
    steps: tuple[Step, ...] = ()

    def then(self, other: Run) -> Run:
        """Both, one after the other, as one run."""
        return Run(
            self.wall + other.wall,
            self.cpu + other.cpu,
            max(self.peak, other.peak),
            self.steps + other.steps,
        )

    @property
    def shares(self) -> tuple[Step, ...]:
        """The steps, and last what is in none of them; steps of one name are added up."""
        added: dict[tuple[int, str], float] = {}
        for step in self.steps:
            added[step.depth, step.name] = added.get((step.depth, step.name), 0.0) + step.seconds
        rest = self.wall - sum(step.seconds for step in self.steps if step.depth == 0)
        return (
            *(Step(depth, name, seconds) for (depth, name), seconds in added.items()),
            Step(0, REST, rest),
        )


def suture(arguments: Sequence[str | Path], record: Path) -> Run:
    """Run one ``suture`` command line.

    :param record: a file for the process to leave its notes in.
    :raises Failed: it ended with another status than 0
    """
    path = os.pathsep.join(
        filter(None, [str(TOP), str(TOP / "src"), os.environ.get("PYTHONPATH", "")])
    )
    command = [sys.executable, "-m", "bench.child", record, *arguments]
    timed = timed_run(command, env={**os.environ, "PYTHONPATH": path})
    return recorded(timed, record.read_text())


def recorded(timed: Run, notes: str) -> Run:
    """`timed`, with what `bench.child` wrote down."""
    document = json.loads(notes)
    steps = tuple(Step(step["depth"], step["name"], step["seconds"]) for step in document["steps"])
    return Run(timed.wall, timed.cpu, document["peak"], steps)


def timed_run(
    command: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Run:
    """Run any program, and time it with all its children.

    :raises Failed: it ended with another status than 0
    """
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    finished = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if finished.returncode != 0:
        raise Failed(
            finished.stderr.strip() or finished.stdout.strip() or f"status {finished.returncode}"
        )
    return Run(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
