# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m bench.matrix``: one patch for several kernels, side by side and one after the other.

1. Each kernel is fetched, and prepared in a cache of the bench's own.
2. So many rounds of a patch never seen, with no compiled object kept: one ``suture build`` for all
   kernels; one for each, one after the other; the bare compiler for each.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from pathlib import Path
from statistics import median

from bench import machine
from bench.floor import bare_compiler
from bench.inputs import STRING, forget_objects, new_patches
from bench.measure import Run, suture
from bench.program import ended
from suture import sources
from suture.cli import output
from suture.host.files import locked
from suture.host.paths import cache
from suture.host.progress import step
from suture.workspace.prepare import Workspace, prepare

ROUNDS = 3

CHANGED, OLD = "fs/proc/version.c", "seq_printf(m, linux_proc_banner,"
"""A file that is the same in all kernels of the figures, and a line of it."""

KERNELS = ("6.1.0-50-amd64", "6.1.0-55-amd64", "6.12.111+deb12-amd64", "6.12.115+deb12-amd64")
"""The kernels of the figures in ``bench/README.md``."""

SIDE_BY_SIDE = "one command"
IN_TURN = "a command for each"
FLOOR = "the bare compiler"


@dataclass(frozen=True, slots=True)
class MatrixTimes:
    """The rounds of each way to build for all kernels."""

    kernels: Sequence[str]
    machine: dict[str, str]
    runs: dict[str, list[Run]] = field(
        default_factory=lambda: {SIDE_BY_SIDE: [], IN_TURN: [], FLOOR: []}
    )

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row with medians for each, and their ratios to the floor."""
        floor = _medians(self.runs[FLOOR])
        found: list[tuple[str, ...]] = []
        for name, runs in self.runs.items():
            wall, cpu = _medians(runs)
            ratios = f"{wall / floor[0]:.1f}", f"{cpu / floor[1]:.1f}"
            found.append((name, f"{wall:.1f} s", ratios[0], f"{cpu:.1f} s", ratios[1]))
        return found


def main() -> int:
    """Print the times."""
    parser = argparse.ArgumentParser(prog="python -m bench.matrix", description=__doc__)
    parser.add_argument("kernels", nargs="*", default=KERNELS, metavar="RELEASE")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="(%(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    arguments = parser.parse_args()
    return ended(partial(_run, arguments), json=arguments.json)


def _run(arguments: argparse.Namespace) -> int:
    base = cache().with_name("suture-bench")
    with locked(base / "lock"), tempfile.TemporaryDirectory(prefix="run-", dir=base) as scratch:
        times = _measure(arguments.kernels, arguments.rounds, base / "matrix", Path(scratch))
    columns = (f"{len(times.kernels)} kernels", "wall", "of the floor", "CPU", "of the floor")
    shown = output.table(columns, times.rows())
    output.emit(times, output.in_parts(output.table(("", ""), [*times.machine.items()]), "", shown))
    return 0


def _measure(kernels: Sequence[str], rounds: int, place: Path, scratch: Path) -> MatrixTimes:
    workspaces = _prepared(kernels, place)
    text = _patch(workspaces[0])
    times = MatrixTimes(kernels, machine.describe())
    ways: dict[str, Callable[[Path], Run]] = {
        SIDE_BY_SIDE: lambda patch: _build(kernels, patch, scratch),
        IN_TURN: lambda patch: _added([_build([one], patch, scratch) for one in kernels]),
        FLOOR: lambda patch: _added([bare_compiler(one, patch) for one in workspaces]),
    }
    for number, patch in enumerate(new_patches(text, scratch, rounds), 1):
        with step(f"Round {number} of {rounds}"):
            for name, way in ways.items():
                forget_objects()
                times.runs[name].append(way(patch))
    return times


def _patch(workspace: Workspace) -> str:
    old = (workspace.tree / CHANGED).read_text()
    new = old.replace(OLD, f'seq_puts(m, "{STRING}\\n");\n\t{OLD}')
    before, after = (text.splitlines(keepends=True) for text in (old, new))
    return "".join(difflib.unified_diff(before, after, f"a/{CHANGED}", f"b/{CHANGED}"))


def _prepared(kernels: Sequence[str], place: Path) -> list[Workspace]:
    """Prepare the user's kernels in a cache of our own, with which this process then works."""
    targets = [sources.fetch(release) for release in kernels]
    place.mkdir(parents=True, exist_ok=True)
    for name in ("kernels", "toolchains"):
        if (cache() / name).exists() and not (place / name).exists():
            (place / name).symlink_to(cache() / name)
    os.environ["SUTURE_CACHE"] = str(place)
    return [prepare(target) for target in targets]


def _build(kernels: Sequence[str], patch: Path, scratch: Path) -> Run:
    wanted = [word for release in kernels for word in ("--kernel", release)]
    out = scratch / "out" if len(kernels) > 1 else scratch / "out.ko"
    return suture(["build", patch, *wanted, "-o", out], scratch / "record")


def _added(runs: Sequence[Run]) -> Run:
    return reduce(Run.then, runs)


def _medians(runs: Sequence[Run]) -> tuple[float, float]:
    return median(run.wall for run in runs), median(run.cpu for run in runs)


if __name__ == "__main__":
    sys.exit(main())
