# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m bench.corpus``"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.corpus import builds, pick, record, trials
from bench.corpus.record import Outcome, Record
from suture import sources
from suture.cli import output
from suture.errors import Refusal
from suture.workspace.prepare import prepare

RECORDS = "records.jsonl"


def main() -> int:
    try:
        return _run(_arguments())
    except Refusal as refusal:
        output.refuse(refusal)
        return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.corpus",
        description="Build and load live patches from what real updates changed.",
    )
    parser.add_argument(
        "kernel",
        metavar="RELEASE",
        help="the older kernel, which is to be patched; has been fetched",
    )
    parser.add_argument(
        "newer", metavar="NEWER", help="version of a linux-source package, or a directory"
    )
    parser.add_argument(
        "out", metavar="OUT", type=Path, help="directory for patches, modules and records"
    )
    parser.add_argument("--suite", help="the Debian suite that has the linux-source package")
    parser.add_argument("--count", type=int, default=100, help="how many files")
    parser.add_argument("--seed", type=int, default=1, help="which files")
    parser.add_argument(
        "--only", metavar="FILE", action="append", help="these files, whatever was found before"
    )
    parser.add_argument(
        "--retry",
        metavar="CODE",
        action="append",
        help="again what ended with that code or outcome",
    )
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for one build")
    parser.add_argument("--no-lab", action="store_true", help="do not load what was built")
    return parser.parse_args()


def _run(arguments: argparse.Namespace) -> int:
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    workspace = prepare(sources.find(arguments.kernel))
    newer = pick.newer_source(arguments.newer, out, arguments.suite)
    files = arguments.only or pick.pick(workspace, newer, arguments.count, arguments.seed)
    known = record.load(out / RECORDS)
    todo = files if arguments.only else _todo(files, known, arguments.retry or [])
    say(f"{len(files)} files, {len(todo)} to build")
    builds.compile_originals(workspace, todo)
    for number, found in enumerate(
        builds.build_all(workspace, newer, todo, out, arguments.limit), 1
    ):
        record.append(out / RECORDS, found)
        say(
            f"[{number}/{len(todo)}] {found.file}: {found.outcome.value} {found.code} "
            f"({found.seconds:.1f} s)"
        )
    if not arguments.no_lab:
        known = record.load(out / RECORDS)
        built = [
            known[file] for file in files if file in known and known[file].outcome is Outcome.BUILT
        ]
        for number, found in enumerate(trials.try_all(workspace.target, built, out), 1):
            record.append(out / RECORDS, found)
            where = ", ".join(found.in_force)
            say(
                f"[{number}/{len(built)}] {found.file}: {found.outcome.value} {found.code} "
                f"in force: {where}"
            )
    known = record.load(out / RECORDS)
    print(record.table(known[file] for file in files if file in known))
    return 0


def _todo(files: list[str], known: Mapping[str, Record], retry: list[str]) -> list[str]:
    again = [
        file
        for file in files
        if file in known and {known[file].code, known[file].outcome.value} & set(retry)
    ]
    return [*again, *pick.unfinished(files, known)]


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
