# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m bench.second_kernel``: what a kernel costs in time and on disk, and what a second one
of its series costs after it.

1. The packages of both kernels are brought into a directory of the bench's own; nothing is
   downloaded afterwards.
2. In a cache that is empty, the first is fetched and prepared, then the second.
3. The floor of the second: its source and its image are decompressed, and nothing else.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.inputs import bring_packages
from bench.measure import TOP, Run, timed_run
from bench.program import ended
from suture import sources
from suture.cli import output
from suture.errors import KERNEL_NOT_OFFERED, Refusal
from suture.host.files import locked
from suture.host.paths import cache
from suture.host.progress import step
from suture.sources import Offer
from suture.sources.debian import DebianOffer

SERIES = ("6.1", "6.12")

PLAIN = re.compile(r"(?P<series>\d+\.\d+)\.[\d-]+(\+deb\d+)?-amd64")
"""The release of a kernel without a flavour."""

FETCH = ("-m", "suture", "kernel", "fetch")
PREPARE = (
    "-c",
    "import sys; from suture import sources; from suture.workspace.prepare import prepare; "
    "prepare(sources.find(sys.argv[1]))",
)

TEMPORARY = "second-"

GIGABYTE = 10**9


@dataclass(frozen=True, slots=True)
class KernelCost:
    """What one kernel took.

    :ivar disk: bytes that are in the cache since.
    """

    release: str
    fetch: Run
    prepare: Run
    disk: int

    @property
    def whole(self) -> Run:
        """Both steps."""
        return self.fetch.then(self.prepare)


@dataclass(frozen=True, slots=True)
class SecondKernel:
    """Two kernels of one series, and the floor of the second."""

    first: KernelCost
    second: KernelCost
    floor: Run

    @property
    def ratios(self) -> dict[str, float]:
        """What the second takes of the first's."""
        first, second = self.first.whole, self.second.whole
        return {
            "cpu": second.cpu / first.cpu,
            "wall": second.wall / first.wall,
            "disk": self.second.disk / self.first.disk,
            "prepare_cpu": self.second.prepare.cpu / self.first.prepare.cpu,
            "floor_cpu": self.floor.cpu / first.cpu,
        }


def main() -> int:
    """Print the costs of the pairs."""
    parser = argparse.ArgumentParser(prog="python -m bench.second_kernel", description=__doc__)
    parser.add_argument(
        "kernels",
        nargs="*",
        metavar="RELEASE",
        help="first and second; by default the two newest of each series of Debian 12",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    arguments = parser.parse_args()
    if len(arguments.kernels) not in (0, 2):
        parser.error("name two kernels of one series")
    return ended(partial(_run, arguments), json=arguments.json)


def _run(arguments: argparse.Namespace) -> int:
    base = cache().with_name("suture-bench")
    with locked(base / "lock"):
        measured = [_measure(pair, base) for pair in _pairs(arguments.kernels)]
    document = [{"costs": one, "ratios": one.ratios} for one in measured]
    output.emit(document, output.in_parts(*map(_table, measured)))
    return 0


def _pairs(releases: Sequence[str]) -> list[list[Offer]]:
    """Return an older and a newer kernel for each series, or those that are named."""
    survey = sources.survey()
    if releases:
        return [[survey.offer(release) for release in releases]]
    return [[*_newest_two(survey.offers, series)][::-1] for series in SERIES]


def _newest_two(offers: Sequence[Offer], series: str) -> list[Offer]:
    """Return the newest two versions of a series; a survey has them first.

    :raises Refusal: ``kernel-not-offered``
    """
    plain = [
        offer
        for offer in offers
        if (found := PLAIN.fullmatch(offer.release)) and found["series"] == series
    ]
    if len(plain) < 2:
        raise Refusal(KERNEL_NOT_OFFERED, f"{series}.*", "two kernels of this series are needed")
    return plain[:2]


def _measure(pair: Sequence[Offer], base: Path) -> SecondKernel:
    pool = base / "packages"
    for offer in pair:
        bring_packages(offer, cache() / "packages", pool)
    for left in base.glob(f"{TEMPORARY}*"):
        shutil.rmtree(left, ignore_errors=True)
    # What is looked up in the background may still be at work there at the end.
    with tempfile.TemporaryDirectory(
        prefix=TEMPORARY, dir=base, ignore_cleanup_errors=True
    ) as place:
        first, second = (_cost(offer, pool, Path(place)) for offer in pair)
        source = next(Path(place).glob(f"kernels/{pair[1].release}/*/source/usr/src/*.tar.xz"))
        with step("Floor"):
            return SecondKernel(first, second, _floor(pair[1], pool, source))


def _cost(offer: Offer, pool: Path, place: Path) -> KernelCost:
    bring_packages(offer, pool, place / "packages")
    before = _on_disk(place)
    environment = {**os.environ, "SUTURE_CACHE": str(place), "PYTHONPATH": str(TOP / "src")}
    os.sync()  # so that writing out what others have written is no part of it
    with step("Fetching and preparing", offer.release):
        fetch, prepare = (
            timed_run([sys.executable, *words, offer.release], env=environment)
            for words in (FETCH, PREPARE)
        )
    with step("Waiting for what is looked up in the background"):
        while _works_below(place):
            time.sleep(1)
    return KernelCost(offer.release, fetch, prepare, _on_disk(place) - before)


def _works_below(place: Path) -> bool:
    """Whether a process of ours is at work in a directory; it would slow the next run down."""
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):  # it has ended, or is another user's
            if link.readlink().is_relative_to(place):
                return True
    return False


def _on_disk(place: Path) -> int:
    """Return the bytes of kernels and workspaces, without what is looked up in the background; a
    file with two names counts once."""
    kept = [path for name in ("kernels", "workspaces") if (path := place / name).exists()]
    command = ["du", "--summarize", "--total", "--block-size=1", "--exclude=index", *map(str, kept)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(printed.splitlines()[-1].split()[0]) if kept else 0


def _floor(offer: Offer, pool: Path, source: Path) -> Run:
    """Decompress a kernel's source and its image."""
    assert isinstance(offer, DebianOffer)
    run = timed_run(["xz", "--test", "--threads=0", source])
    for package in offer.image:
        script = 'exec dpkg-deb --fsys-tarfile "$1" >/dev/null'
        run = run.then(timed_run(["sh", "-c", script, "sh", pool / package.file_name]))
    return run


def _table(one: SecondKernel) -> output.Human:
    rows = [
        (
            cost.release,
            *_times(cost.fetch),
            *_times(cost.prepare),
            *_times(cost.whole),
            f"{cost.disk / GIGABYTE:.2f} GB",
        )
        for cost in (one.first, one.second)
    ]
    ratios = one.ratios
    shares = ("", "", f"{ratios['prepare_cpu']:.2f}", "", f"{ratios['cpu']:.2f}")
    rows.append(("ratio", *shares, f"{ratios['wall']:.2f}", f"{ratios['disk']:.2f}"))
    rows.append(("decompression alone", "", "", "", "", *_times(one.floor), ""))
    columns = ("fetch CPU", "wall", "prepare CPU", "wall", "both CPU", "wall", "disk")
    return output.table(("", *columns), rows)


def _times(run: Run) -> tuple[str, str]:
    return f"{run.cpu:.1f} s", f"{run.wall:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
