# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m bench.behaviour``"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.behaviour import between, model
from bench.behaviour.compare import compare, table
from bench.behaviour.model import Input, Record
from bench.behaviour.parts import TOP, WrongInput
from bench.behaviour.program import Failed
from bench.behaviour.record import Manner, record, usual_base
from bench.behaviour.tables import INPUTS

BASE = "where to work; recordings in one directory wait for each other"


def main() -> int:
    """Run what the command line asks for; the status is 1 where behaviour differs."""
    arguments = _parser().parse_args()
    try:
        match arguments.command:
            case "list":
                return _list(INPUTS)
            case "record":
                return _record(arguments)
            case "compare":
                before, after = model.load(arguments.before), model.load(arguments.after)
                return _report(before, after, words=arguments.words)
            case _:
                return _between(arguments)
    except (Failed, WrongInput, FileNotFoundError) as failure:
        print(failure, file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.behaviour",
        description="Record what Suture makes of a fixed set of inputs, and compare two records.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="name all inputs")
    recorded = commands.add_parser("record", help="run all inputs, and keep what came of them")
    recorded.add_argument("directory", type=Path, metavar="DIR")
    recorded.add_argument("--source", type=Path, default=TOP, metavar="CHECKOUT")
    compared = commands.add_parser("compare", help="tell two records apart")
    compared.add_argument("before", type=Path, metavar="BEFORE")
    compared.add_argument("after", type=Path, metavar="AFTER")
    both = commands.add_parser("between", help="record two revisions, and compare them")
    both.add_argument("before", metavar="REV")
    both.add_argument("after", metavar="REV", nargs="?", help="by default the working tree")
    both.add_argument("--keep", type=Path, metavar="DIR", help="where to keep both records")
    for command in (recorded, both):
        command.add_argument("-j", dest="at_once", type=int, default=2, metavar="N")
        command.add_argument("--only", default="", metavar="PATTERN", help="inputs of such names")
        command.add_argument("--base", type=Path, default=usual_base(), metavar="DIR", help=BASE)
    for command in (compared, both):
        command.add_argument("--words", action="store_true", help="also show where words differ")
    return parser


def _list(inputs: Sequence[Input]) -> int:
    for one in inputs:
        print(f"{', '.join(one.series):10} {one.name:40} {one.code}".rstrip())
    return 0


def _record(arguments: argparse.Namespace) -> int:
    inputs, manner = _chosen(arguments.only), _manner(arguments)
    made = record(arguments.source, arguments.directory, inputs, manner)
    wrong = [name for name, outcome in made.outcomes.items() if not outcome.is_as_expected]
    print(f"{len(made.outcomes)} inputs recorded, {len(wrong)} not as expected", *wrong, sep="\n  ")
    return 1 if wrong else 0


def _between(arguments: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        before, after = between.records(
            arguments.before,
            arguments.after,
            arguments.keep or Path(scratch),
            _chosen(arguments.only),
            _manner(arguments),
        )
        return _report(before, after, words=arguments.words)


def _manner(arguments: argparse.Namespace) -> Manner:
    return Manner(arguments.base, arguments.at_once)


def _chosen(pattern: str) -> list[Input]:
    chosen = [one for one in INPUTS if re.search(pattern, one.name)]
    if not chosen:
        raise Failed(f"no input has a name like {pattern}")
    return chosen


def _report(before: Record, after: Record, *, words: bool) -> int:
    differences = compare(before, after)
    counting = [one for one in differences if one.counts]
    if counting:
        print(table(counting))
    reworded = [one for one in differences if one.what == "words"]
    for one in reworded if words else ():
        print(f"\n{one.name}, before:\n{one.before}\n{one.name}, after:\n{one.after}")
    files = sum(len(outcome.written) for outcome in after.outcomes.values())
    build_ids = len(differences) - len(counting) - len(reworded)
    print(
        f"{len(after.outcomes)} inputs, {files} files: {len(counting)} differences; besides, "
        f"{build_ids} in the build ID alone and {len(reworded)} in words alone"
    )
    return 1 if counting else 0


if __name__ == "__main__":
    sys.exit(main())
