# SPDX-License-Identifier: GPL-2.0-or-later
"""Run levels of checks and tests, and say at the end how many ran, how long each took, and what
failed.

    python scripts/test_levels.py lint types unit fleet packages compile lab

All the named levels run, also after one has failed.  The last line counts the tests of all levels
that are tests: ``12 passed, 0 failed`` (and ``, 1 skipped``).  Ends with status 1 if a level
failed.
"""

from __future__ import annotations

import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
PYTHON_CODE = ("src", "tests", "scripts", "bench")

NO_TESTS = 5
"""pytest's exit status where it collected nothing (pytest.ExitCode.NO_TESTS_COLLECTED)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one level came to.  The counts are of tests; `ok` also covers what is no test (lint,
    types, a crash)."""

    ok: bool
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def ran(self) -> int:
        return self.passed + self.failed


@dataclass(frozen=True, slots=True)
class Level:
    name: str
    run: Callable[[], Outcome]
    counts: bool


def main(names: Sequence[str]) -> int:
    wanted = [level for name in names for level in LEVELS if level.name == name]
    if not wanted or len(wanted) != len(names):
        print(
            f"usage: {sys.argv[0]} {' '.join(f'[{level.name}]' for level in LEVELS)}",
            file=sys.stderr,
        )
        return 2
    results: list[tuple[Level, Outcome, float]] = []
    for level in wanted:
        print(f"--- {level.name} ---", flush=True)
        started = time.monotonic()
        outcome = level.run()
        results.append((level, outcome, time.monotonic() - started))
    print(summary(results))
    return 0 if all(outcome.ok for _, outcome, _ in results) else 1


def summary(results: Sequence[tuple[Level, Outcome, float]]) -> str:
    """The table of levels, and the one line of counts."""
    lines = ["", f"{'level':8}{'ran':>6}{'failed':>8}{'skipped':>9}{'time':>10}"]
    for level, outcome, seconds in results:
        counts = (outcome.ran, outcome.failed, outcome.skipped) if level.counts else ("", "", "")
        ran, failed, skipped = counts
        verdict = "ok" if outcome.ok else "FAILED"
        lines.append(f"{level.name:8}{ran:>6}{failed:>8}{skipped:>9}{seconds:>8.1f} s  {verdict}")
    passed = sum(outcome.passed for _, outcome, _ in results)
    failed_tests = sum(outcome.failed for _, outcome, _ in results)
    skipped_tests = sum(outcome.skipped for _, outcome, _ in results)
    counted = f"{passed} passed, {failed_tests} failed" + (
        f", {skipped_tests} skipped" if skipped_tests else ""
    )
    return "\n".join([*lines, "", counted])


def lint() -> Outcome:
    return _all_succeed([["ruff", "check"], ["ruff", "format", "--check"]])


def types() -> Outcome:
    directories = [name for name in PYTHON_CODE if any((TOP / name).rglob("*.py"))]
    return _all_succeed([["mypy", "--strict", *directories]])


def tests(name: str, *options: str) -> Callable[[], Outcome]:
    """The level of ``tests/NAME``, with further options for pytest."""

    def run() -> Outcome:
        report = TOP / "build" / f"{name}.xml"
        report.parent.mkdir(exist_ok=True)
        report.unlink(missing_ok=True)
        directory = TOP / "tests" / name
        if not directory.is_dir():
            return Outcome(ok=True)
        status = _run(
            [
                "pytest",
                "-q",
                "-ra",
                "--durations=5",
                f"--junitxml={report}",
                *options,
                str(directory),
            ]
        )
        return counted(status, report)

    return run


def counted(status: int, report: Path) -> Outcome:
    """The outcome of a pytest run from its exit status and its report in JUnit's form.

    A run that failed with no failed test (a crash, a syntax error in a conftest) counts as one
    failure.
    """
    if status == NO_TESTS:
        return Outcome(ok=True)
    total = failed = skipped = 0
    if report.exists():
        for suite in ElementTree.parse(report).iter("testsuite"):
            total += int(suite.get("tests", 0))
            failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            skipped += int(suite.get("skipped", 0))
    if status != 0 and failed == 0:
        failed, total = 1, total + 1
    # A test whose body and teardown both fail is one test and two failures.
    return Outcome(
        ok=status == 0, passed=max(0, total - failed - skipped), failed=failed, skipped=skipped
    )


def _all_succeed(commands: Sequence[Sequence[str]]) -> Outcome:
    statuses = [_run(command) for command in commands]
    return Outcome(ok=not any(statuses))


def _run(command: Sequence[str]) -> int:
    return subprocess.run([sys.executable, "-m", *command], cwd=TOP, check=False).returncode


LEVELS = (
    Level("lint", lint, counts=False),
    Level("types", types, counts=False),
    # Unit tests share nothing.  Of the others, those of one file share targets and guests, and an
    # emulated guest keeps one processor busy; what is in the cache is locked while it is made.
    Level("unit", tests("unit", "--numprocesses=auto"), counts=True),
    Level("fleet", tests("fleet", "--numprocesses=2", "--dist=loadfile"), counts=True),
    Level("packages", tests("packages"), counts=True),
    Level("compile", tests("compile", "--numprocesses=2", "--dist=loadfile"), counts=True),
    Level("pages", tests("pages"), counts=True),
    Level("lab", tests("lab", "--numprocesses=2", "--dist=loadfile"), counts=True),
)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(1)
