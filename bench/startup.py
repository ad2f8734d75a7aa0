# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m bench.startup``: the processor time with which commands start, beside that of Python
alone.

All run in turns, and the best of each counts: other load on the machine only adds to a run.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.measure import TOP, Failed, timed_run
from suture.cli import output

RUNS = 15

LIMIT = 0.12
"""Seconds of processor time that ``suture status`` may take more than Python, where nothing is
loaded: monitoring asks for it each minute, on small machines too."""

PYTHON = "python3 -c pass"
STATUS = "suture status"
COMMANDS: Mapping[str, Sequence[str]] = {
    PYTHON: ("-c", "pass"),
    "suture --version": ("-m", "suture", "--version"),
    STATUS: ("-m", "suture", "status"),
    "suture --help": ("-m", "suture", "--help"),
    "suture load --help": ("-m", "suture", "load", "--help"),
}


@dataclass(frozen=True, slots=True)
class StartTime:
    """What one command took.

    :ivar cpu: seconds of processor time, in the best run.
    :ivar more: what of it Python alone does not take.
    :ivar limit: of `more`; None where there is none.
    """

    command: str
    cpu: float
    more: float
    limit: float | None


def measure(runs: int) -> list[StartTime]:
    """Run each command so many times.

    :raises Failed: one ended with another status than 0
    """
    environment = {**os.environ, "PYTHONPATH": str(TOP / "src")}
    best = dict.fromkeys(COMMANDS, float("inf"))
    for _ in range(runs):
        for name, words in COMMANDS.items():
            run = timed_run([sys.executable, *words], env=environment)
            best[name] = min(best[name], run.cpu)
    return [
        StartTime(name, cpu, cpu - best[PYTHON], LIMIT if name == STATUS else None)
        for name, cpu in best.items()
    ]


def main() -> int:
    """Print the times; the exit status is 1 if the limit is not kept."""
    parser = argparse.ArgumentParser(prog="python -m bench.startup", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="of each command (%(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    arguments = parser.parse_args()
    output.json_wanted.set(arguments.json)
    try:
        times = measure(arguments.runs)
    except Failed as failed:
        print(failed, file=sys.stderr)
        return 1
    rows = [
        (
            one.command,
            f"{one.cpu:.3f} s",
            f"{one.more:.3f} s",
            "" if one.limit is None else f"{one.limit:.3f} s",
        )
        for one in times
    ]
    output.emit(times, output.table(("command", "CPU", "more than Python", "limit"), rows))
    return int(any(one.limit is not None and one.more > one.limit for one in times))


if __name__ == "__main__":
    sys.exit(main())
