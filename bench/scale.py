# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m bench.scale``: whether comparing objects costs the same for each function, however
many there are.

1. Pairs of objects of growing size are assembled (`bench.generate`), with as many changed functions
   in each.
2. Each pair is read, compared and cut in a process of its own, which writes down its steps and its
   memory.
3. Pairs of real objects, given with ``--pair``, are measured after the same way.

What a table shows is level when a function of the largest object costs at most so much more than
one of the smallest.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.child import peak_memory
from bench.generate import SIZES, generate
from bench.measure import TOP

COUNTS = (1_000, 10_000, 100_000)
CHANGED = 5
LEVEL = 1.5
"""How much more a function of the largest object may cost than one of the smallest."""


@dataclass(frozen=True, slots=True)
class Cost:
    """:ivar functions: of the patched object.  :ivar changed: those that are cut out.
    :ivar read, compare, select: CPU seconds.  :ivar peak: resident bytes.
    """

    name: str
    functions: int
    changed: int
    read: float
    compare: float
    select: float
    peak: int

    @property
    def each(self) -> float:
        """Microseconds of all three for a function."""
        return (self.read + self.compare + self.select) / self.functions * 1e6


def measure(name: str, original: Path, patched: Path) -> Cost:
    """What comparing a pair costs this process; meant to be all that it does.

    References outside are resolved by name alone: what a list of symbols costs does not grow with
    the object.
    """
    from suture.diff.changes import compare
    from suture.diff.comparison import Side
    from suture.diff.cut_out import cut_out
    from suture.diff.output import Linked, OutputObject, Outside
    from suture.diff.plan import FilePlan
    from suture.elf import reader
    from suture.objects.special import Entries
    from suture.objects.view import Unit, View

    class ByName:
        def defined(self, unit: Unit) -> Outside:
            return Linked(unit.name)

        def undefined(self, name: str) -> Outside:
            return Linked(name)

    def side(path: Path) -> Side:
        view = View(reader.read(path.read_bytes(), path.name))
        return Side(view, Entries(view, SIZES))

    start = time.process_time()
    before, after = side(original), side(patched)
    were_read = time.process_time()
    changes = compare(before, after)
    compared = time.process_time()
    output = None if changes.is_empty else cut_out(FilePlan.of(changes), "vmlinux", ByName())
    replaced = output.replaced if isinstance(output, OutputObject) else ()
    end = time.process_time()
    functions = sum(unit.is_function for unit in after.view.units)
    times = were_read - start, compared - were_read, end - compared
    return Cost(name, functions, len(replaced), *times, peak_memory())


def in_child(name: str, original: Path, patched: Path) -> Cost:
    """`measure` in a process of its own."""
    command = [sys.executable, "-m", "bench.scale", "--one", name, str(original), str(patched)]
    done = subprocess.run(command, cwd=TOP, stdout=subprocess.PIPE, text=True, check=True)
    return Cost(**json.loads(done.stdout))


def generated(counts: Sequence[int], directory: Path) -> list[Cost]:
    costs = []
    for count in counts:
        pair = generate(count, CHANGED, directory)
        costs.append(in_child("generated", *pair))
        for path in pair:
            path.unlink()
    return costs


def table(costs: Sequence[Cost]) -> str:
    lines = [
        "object       functions  changed     read  compare   select  each function   peak memory"
    ]
    for cost in costs:
        times = f"{cost.read:7.2f}s {cost.compare:7.2f}s {cost.select:7.2f}s"
        memory = f"{cost.peak / 1e6:6.0f} MB"
        lines.append(
            f"{cost.name:12} {cost.functions:9,} {cost.changed:8} {times} "
            f"{cost.each:11.0f} us {memory:>13}"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.scale", description=(__doc__ or "").split("\n", 1)[0]
    )
    parser.add_argument(
        "--counts", type=int, nargs="*", default=COUNTS, help="functions of the generated objects"
    )
    parser.add_argument(
        "--pair", nargs=3, action="append", default=[], metavar=("NAME", "ORIG.o", "PATCHED.o")
    )
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    arguments = parser.parse_args()
    if arguments.one:
        name, original, patched = arguments.one
        print(json.dumps(asdict(measure(name, Path(original), Path(patched)))))
        return 0
    with tempfile.TemporaryDirectory(prefix="suture-bench-") as scratch:
        made = generated(arguments.counts, Path(scratch))
    costs = made + [
        in_child(name, *(Path(path).absolute() for path in pair)) for name, *pair in arguments.pair
    ]
    growth = made[-1].each / made[0].each if len(made) > 1 else 1.0
    if arguments.json:
        print(
            json.dumps(
                {"costs": [asdict(cost) for cost in costs], "growth": growth, "at_most": LEVEL},
                indent=2,
            )
        )
    else:
        print(table(costs))
        print(
            f"A function of the largest generated object costs {growth:.2f} times one of the "
            "smallest."
        )
    return int(growth > LEVEL)


if __name__ == "__main__":
    sys.exit(main())
