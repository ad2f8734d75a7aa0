# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m bench``

1. The packages of a stock kernel are brought into a cache of the bench's own; nothing is downloaded
   afterwards.
2. Cold: everything but the packages is removed, and the demonstration's patch is built.
3. So many rounds of: a build of a patch never seen, with no compiled object kept; the same again;
   the bare compiler.
4. With ``--header``: a patch to a header that hundreds of objects read, then another.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench import machine
from bench.floor import bare_compiler
from bench.inputs import bring_packages, forget_objects, new_patches
from bench.measure import Run, suture
from bench.program import ended
from bench.report import Measured, Report
from suture import sources
from suture.cli import output
from suture.demo import change
from suture.errors import KERNEL_NOT_OFFERED, Refusal
from suture.host.files import locked
from suture.host.paths import cache
from suture.host.progress import step
from suture.sources import Offer
from suture.workspace.prepare import prepare

ROUNDS = 5
COLD, WARM, AGAIN = 60.0, 8.0, 3.0
"""Seconds that each may take at most, on two cores."""

SERIES = "6.1."
"""The series of the figures in ``bench/README.md``."""

HEADER = "include/net/tcp.h"
OLD_IN_HEADER = "return tp->snd_ssthresh >= TCP_INFINITE_SSTHRESH;"
NEW_IN_HEADER = (
    "return tp->snd_ssthresh + 1 > TCP_INFINITE_SSTHRESH;",
    "return tp->snd_ssthresh == TCP_INFINITE_SSTHRESH;",
)
"""In ``tcp_in_initial_slowstart()``, which four objects of 6.1 call."""


def main() -> int:
    arguments = _arguments()
    return ended(partial(_run, arguments), json=arguments.json)


def _run(arguments: argparse.Namespace) -> int:
    base = cache().with_name("suture-bench")
    offer = sources.survey().offer(arguments.kernel) if arguments.kernel else _newest_offer()
    with locked(base / "lock"), tempfile.TemporaryDirectory(prefix="run-", dir=base) as scratch:
        bring_packages(offer, cache() / "packages", base / "suture" / "packages")
        os.environ["XDG_CACHE_HOME"] = str(base)
        report = _measure(
            offer.release, Path(scratch), quick=arguments.quick, header=arguments.header
        )
    output.emit(report.document(), report.for_people)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Time Suture's main job on this machine."
    )
    parser.add_argument(
        "--kernel", metavar="RELEASE", help="a 6.1 kernel; by default the newest that is offered"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="leave out the cold run; use the tree of an earlier one",
    )
    parser.add_argument(
        "--header", action="store_true", help="also patch a header that 400 objects read"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    return parser.parse_args()


def _newest_offer() -> Offer:
    """Return the newest kernel of `SERIES` that is offered: a survey has it first.

    :raises Refusal: ``kernel-not-offered``
    """
    for offer in sources.offers():
        if offer.release.startswith(SERIES):
            return offer
    raise Refusal(KERNEL_NOT_OFFERED, f"{SERIES}*", "no kernel of this series is offered complete")


def _measure(release: str, scratch: Path, *, quick: bool, header: bool) -> Report:
    described = machine.describe()
    with step("The demonstration's patch"):
        text = change.diff(prepare(sources.fetch(release)).tree)
    if not quick:
        _put_aside(("kernels", "workspaces"), scratch)
    with step("Cold" if not quick else "Preparing, if need be"):
        cold = _cold(release, text, scratch)
    warm, again, floor = [], [], []
    for number, patch in enumerate(new_patches(text, scratch, ROUNDS), 1):
        with step(f"Round {number} of {ROUNDS}"):
            forget_objects()
            warm.append(_build(release, patch, scratch))
            again.append(_build(release, patch, scratch))
            floor.append(bare_compiler(prepare(sources.find(release)), patch))
    measured = [
        Measured("warm", "tree prepared, patch never seen, nothing compiled", tuple(warm), WARM),
        Measured("again", "the same patch", tuple(again), AGAIN),
    ]
    if not quick:
        measured.insert(0, Measured("cold", "packages downloaded, nothing unpacked", (cold,), COLD))
    if header:
        measured += _header(release, scratch)
    floor_measured = Measured("floor", "the bare compiler, original and patched", tuple(floor))
    return Report(described, release, tuple(measured), floor_measured)


def _header(release: str, scratch: Path) -> list[Measured]:
    """An inline function of a header that hundreds read, which few of them call."""
    _put_aside(
        [
            f"workspaces/{graph.parent.name}/graph"
            for graph in (cache() / "workspaces").glob("*/graph")
        ],
        scratch,
    )
    first, second = (
        _build(release, _header_patch(release, scratch, new), scratch) for new in NEW_IN_HEADER
    )
    return [
        Measured("header", "a header; nothing known of who reads it", (first,)),
        Measured("header again", "another change in the same header", (second,)),
    ]


def _header_patch(release: str, scratch: Path, new: str) -> Path:
    old = (prepare(sources.find(release)).tree / HEADER).read_text().splitlines(keepends=True)
    changed = [line.replace(OLD_IN_HEADER, new) for line in old]
    patch = scratch / "header.patch"
    patch.write_text("".join(difflib.unified_diff(old, changed, f"a/{HEADER}", f"b/{HEADER}")))
    return patch


def _put_aside(names: Sequence[str], directory: Path) -> None:
    """Take away what earlier runs prepared.

    It is not removed before the end: for minutes after a tree has been deleted, ext4 looks at each
    of its inodes before it gives out another (``fs/ext4/ialloc.c: recently_deleted()``), and
    unpacking takes several times as long.
    """
    for name in names:
        if (cache() / name).exists():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (cache() / name).rename(directory / name)
    os.sync()  # so that writing out what others have written is no part of the cold run


def _cold(release: str, text: str, scratch: Path) -> Run:
    patch = scratch / "meminfo.patch"
    patch.write_text(text)
    return suture(["kernel", "fetch", release], scratch / "record").then(
        _build(release, patch, scratch)
    )


def _build(release: str, patch: Path, scratch: Path) -> Run:
    return suture(
        ["build", patch, "--kernel", release, "-o", scratch / "out.ko"], scratch / "record"
    )


if __name__ == "__main__":
    sys.exit(main())
