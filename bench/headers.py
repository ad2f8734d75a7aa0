# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m bench.headers RELEASE``: how long a patch to a header takes to be built or refused.

1. The kernel is fetched into the user's cache; a workspace is prepared in one of the bench's own.
2. For each patch of `bench.header_cases`: all compiled objects and all that is known of who reads
   which header are removed, then the patch is built, and the same again.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import header_cases, machine
from bench.header_cases import HeaderPatch
from bench.measure import TOP
from suture import sources
from suture.cli import output
from suture.errors import Refusal
from suture.host.files import locked
from suture.host.paths import cache
from suture.host.progress import reporter, step
from suture.host.reporters import for_stderr
from suture.workspace.prepare import prepare

FIRST, AGAIN = 20.0, 5.0
"""Seconds that each may take at most, on two cores."""

OTHER_NUMBER = "4099"
LINKED = ("kernels", "packages", "toolchains", "suites")
"""What the bench's cache takes from the user's."""

MADE = ("objects", "graph")
"""What a workspace knows of its files."""

_CODE = re.compile(r"^error\[([\w-]+)\]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class TimedAnswer:
    """One run of ``suture build``.

    :ivar seconds: wall clock.
    :ivar cpu: seconds of user and system time, of all processes together.
    :ivar outcome: ``built``, the code of a refusal, or ``stopped`` where it took too long.
    """

    seconds: float
    cpu: float
    outcome: str

    def __str__(self) -> str:
        more = ">" if self.outcome == "stopped" else ""
        return f"{more}{self.seconds:.1f} ({self.cpu:.1f})"


@dataclass(frozen=True, slots=True)
class TimedPatch:
    """The runs of one patch.

    :ivar first: nothing is compiled yet, nor known of who reads the header.
    :ivar again: the same patch.
    :ivar other: the same patch but for a number.
    """

    name: str
    first: TimedAnswer
    again: TimedAnswer | None = None
    other: TimedAnswer | None = None

    @property
    def row(self) -> tuple[str, ...]:
        """What a table shows."""
        later = [str(one) if one else "" for one in (self.again, self.other)]
        return (self.name, str(self.first), *later, self.first.outcome)


def main() -> int:
    arguments = _arguments()
    output.json_wanted.set(arguments.json)
    reporter.set(for_stderr())
    try:
        tree = _prepared(arguments.release)
    except Refusal as refusal:
        output.refuse(refusal)
        return 1
    described = machine.describe()
    wanted = re.compile(arguments.only)
    timed = []
    with (
        locked(cache().parent / "lock"),
        tempfile.TemporaryDirectory(prefix="run-", dir=cache().parent) as scratch,
    ):
        alone = arguments.header_alone
        firsts = header_cases.patches(tree, header_alone=alone)
        others = header_cases.patches(tree, number=OTHER_NUMBER, header_alone=alone)
        for patch, other in zip(firsts, others, strict=True):
            if wanted.search(patch.name):
                with step(patch.name):
                    timed.append(_timed(arguments, patch, other, Path(scratch)))
    rows = {"machine": described, "kernel": arguments.release, "patches": list(map(asdict, timed))}
    output.emit(rows, lambda: _table(timed))
    return int(any(_is_late(one) for one in timed))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.headers", description="Time patches to headers."
    )
    parser.add_argument("release", metavar="RELEASE", help="a kernel of the series 6.1 or 6.12")
    parser.add_argument(
        "--only", metavar="PATTERN", default="", help="the patches whose names have it in them"
    )
    parser.add_argument(
        "--header-alone", action="store_true", help="change the header and no C file"
    )
    parser.add_argument(
        "--other", action="store_true", help="also build the patch with another number"
    )
    parser.add_argument(
        "--stop", metavar="SECONDS", type=float, default=600, help="end a run that takes longer"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    return parser.parse_args()


def _prepared(release: str) -> Path:
    """Fetch a kernel, make a cache of the bench's own, and return the tree of its workspace."""
    sources.fetch(release)
    users, own = cache(), cache().with_name("suture-bench") / "headers"
    (own / "suture").mkdir(parents=True, exist_ok=True)
    for name in LINKED:
        (users / name).mkdir(exist_ok=True)
        if not (own / "suture" / name).exists():
            (own / "suture" / name).symlink_to(users / name)
    os.environ["XDG_CACHE_HOME"] = str(own)
    return prepare(sources.find(release)).tree


def _timed(
    arguments: argparse.Namespace, patch: HeaderPatch, other: HeaderPatch, scratch: Path
) -> TimedPatch:
    _forget()
    paths = [scratch / "first.patch", scratch / "other.patch"]
    for path, one in zip(paths, (patch, other), strict=True):
        path.write_text(one.text)
    runs: list[TimedAnswer] = []
    for path in (paths[0], *(paths if arguments.other else paths[:1])):
        if runs and runs[-1].outcome == "stopped":
            break
        runs.append(_build(arguments, path, scratch))
    return TimedPatch(patch.name, *runs)


def _forget() -> None:
    for workspace in (cache() / "workspaces").iterdir():
        for name in MADE:
            shutil.rmtree(workspace / name, ignore_errors=True)


def _build(arguments: argparse.Namespace, patch: Path, scratch: Path) -> TimedAnswer:
    command = [sys.executable, "-m", "suture", "build", patch, "--kernel", arguments.release]
    path = os.pathsep.join(filter(None, [str(TOP / "src"), os.environ.get("PYTHONPATH", "")]))
    before, started = _children(), time.monotonic()
    process = subprocess.Popen(
        [*command, "-o", scratch / "out.ko"],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, said = process.communicate(timeout=arguments.stop)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        process.communicate()
        return TimedAnswer(time.monotonic() - started, _children() - before, "stopped")
    seconds, cpu = time.monotonic() - started, _children() - before
    code = _CODE.search(said)
    refused = code[1] if code else f"status {process.returncode}"
    return TimedAnswer(seconds, cpu, refused if process.returncode else "built")


def _children() -> float:
    """Return the processor time of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _is_late(patch: TimedPatch) -> bool:
    return patch.first.seconds > FIRST or any(
        one is not None and one.seconds > AGAIN for one in (patch.again,)
    )


def _table(timed: Sequence[TimedPatch]) -> str:
    rows = [("patch", "first", "again", "other", "outcome"), *(one.row for one in timed)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: Iterable[str], widths: Sequence[int]) -> str:
    return "  ".join(
        cell.ljust(width) if index in (0, 4) else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    ).rstrip()


if __name__ == "__main__":
    sys.exit(main())
