# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m bench.fixes RELEASE``: how long it takes to list what newer versions fix, and the
numbers of the list.

1. The newer source is downloaded, the workspace is prepared, and its objects are listed, before the
   timing starts.
2. The list is made, and asked for again.
3. The floor: both sources are decompressed, side by side, and nothing else.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import machine
from bench.measure import Run, suture, timed_run
from bench.program import ended
from suture import sources
from suture.cli import output
from suture.fixes.counts import FixCounts, counted
from suture.fixes.listing import list_fixes, newer_versions
from suture.fixes.standing import standings
from suture.host.paths import cache
from suture.host.progress import step
from suture.kernel.release import Target
from suture.sources import SourceOffer, apt, downloads
from suture.sources.debian_sources import DebianSource
from suture.workspace import objects
from suture.workspace.prepare import prepare

FIRST, AGAIN = 15.0, 3.0
"""The limits, in seconds of wall clock."""


@dataclass(frozen=True, slots=True)
class TimedList:
    """What the list of one kernel took, and its numbers."""

    release: str
    old: str
    new: str
    first: Run
    again: Run
    floor: Run
    counts: FixCounts

    @property
    def is_late(self) -> bool:
        """Whether a limit is exceeded."""
        return self.first.wall > FIRST or self.again.wall > AGAIN


def main() -> int:
    """Print the times and the numbers."""
    parser = argparse.ArgumentParser(prog="python -m bench.fixes", description=__doc__)
    parser.add_argument("releases", nargs="+", metavar="RELEASE", help="fetched kernels")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    arguments = parser.parse_args()
    return ended(partial(_run, arguments), json=arguments.json)


def _run(arguments: argparse.Namespace) -> int:
    described = machine.describe()
    timed = [_timed(sources.find(release)) for release in arguments.releases]
    output.emit({"machine": described, "lists": timed}, lambda: _table(timed))
    return int(any(one.is_late for one in timed))


def _timed(target: Target) -> TimedList:
    workspace = prepare(target)
    objects.everything(workspace)
    offer = newer_versions(target)[0]
    _download(offer)
    shutil.rmtree(cache() / "fixes" / target.release, ignore_errors=True)
    command = ["fixes", "--kernel", target.release, "--to", offer.version]
    with tempfile.TemporaryDirectory() as work, step("Listing", target.release):
        record = Path(work, "record")
        first, again = suture(command, record), suture(command, record)
        _download(offer)
        floor = _floor(target.source, offer.get(Path(work)).archive)
    found = list_fixes(target, offer.version)
    counts = counted(found, standings(found, None))
    return TimedList(target.release, found.old, found.new, first, again, floor, counts)


def _download(offer: SourceOffer) -> None:
    assert isinstance(offer, DebianSource)
    apt.download([offer.package], downloads.directory(), offer.archives)


def _floor(old: Path, new: Path) -> Run:
    script = 'xz --test "$1" & xz --test "$2"; wait $!'
    return timed_run(["sh", "-c", script, "sh", old, new])


def _table(timed: Sequence[TimedList]) -> output.Human:
    heads = ("kernel", "to", "first", "again", "floor", "CPU", "fixes", "CVEs", "sure", "unsure")
    return output.table((*heads, "files", "of the kernel"), [_row(one) for one in timed])


def _row(one: TimedList) -> tuple[str, ...]:
    counts = one.counts
    return (
        one.release,
        one.new,
        *(f"{run.wall:.1f} s" for run in (one.first, one.again, one.floor)),
        f"{one.first.cpu:.1f} s",
        *map(str, (counts.fixes, counts.cves, counts.sure, counts.unsure)),
        *map(str, (counts.files, counts.files_of_kernel)),
    )


if __name__ == "__main__":
    sys.exit(main())
