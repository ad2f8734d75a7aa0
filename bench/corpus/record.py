# SPDX-License-Identifier: GPL-2.0-or-later
"""What came of each patch: one line of JSON each time something is known; of several for one file
the last counts."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class Outcome(StrEnum):
    """`BUILT` is not the end: it has yet to be loaded."""

    BUILT = "built"
    LOADED = "loaded"
    REFUSED = "refused"
    WRONG = "wrong"
    OLD_HEADERS = "does not compile alone"
    NO_CHANGE = "no code change"


APART = {"no-code-change": Outcome.NO_CHANGE, "patch-does-not-compile": Outcome.OLD_HEADERS}
"""Codes of refusals that say nothing about Suture: one file's part of a release need not be a patch
by itself."""

FAULTS = frozenset(
    {
        "internal-error",
        "interrupted",
        "module-link-failed",
        "original-does-not-compile",
        "disk-full",
    }
)
"""Codes that are no verdict about the patch: something of ours went wrong."""

TIMED_OUT = "timed-out"

PATCH_DATA, KEEP_DATA = "--patch-data", "--keep-data"


@dataclass(frozen=True, slots=True)
class Record:
    """:ivar code: of the refusal, or of what went wrong; "" where nothing did.
    :ivar message: the whole of it.
    :ivar seconds: that the build took, wall clock.
    :ivar functions: ``object:function`` that the live patch replaces.
    :ivar in_force: the objects that were there when it was loaded.
    :ivar patch_data: variables that the refusal said to name with ``--patch-data``, as an author
        would.
    :ivar keep_data: variables that it was told to leave as they are (`bench.corpus.kept`).
    """

    file: str
    outcome: Outcome
    code: str = ""
    message: str = ""
    seconds: float = 0.0
    functions: tuple[str, ...] = ()
    in_force: tuple[str, ...] = ()
    patch_data: tuple[str, ...] = ()
    keep_data: tuple[str, ...] = ()

    @property
    def objects(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(function.partition(":")[0] for function in self.functions))


def of_build(
    file: str,
    status: int | None,
    answer: str,
    errors: str,
    seconds: float,
    patch_data: tuple[str, ...] = (),
    keep_data: tuple[str, ...] = (),
) -> Record:
    """:param status: of ``suture build --json``; None where it had to be ended.
    :param answer: what it wrote on stdout.
    :param patch_data: the variables that it was given with ``--patch-data``; `keep_data` those with
        ``--keep-data``.
    """
    document = _document(answer)
    if status == 0 and "objects" in document:
        functions = tuple(
            f"{one['name']}:{f['old_name']}"
            for one in document["objects"]
            for f in one["functions"]
        )
        return Record(
            file,
            Outcome.BUILT,
            seconds=seconds,
            functions=functions,
            patch_data=patch_data,
            keep_data=keep_data,
        )
    if status is None:
        return Record(file, Outcome.WRONG, TIMED_OUT, errors, seconds)
    error = document.get("error")
    if status != 1 or not error:
        return Record(file, Outcome.WRONG, "crashed", f"status {status}\n{answer}{errors}", seconds)
    code = error["code"]
    refused = Outcome.WRONG if code in FAULTS else Outcome.REFUSED
    message = "\n".join([f"{error['where']}: {error['found']}", *error["evidence"]])
    return Record(file, APART.get(code, refused), code, message, seconds)


def option_to_add(answer: str, keep: Container[str]) -> tuple[str, str] | None:
    """The option, and the variable to name with it, that a refusal says the author can add.

    :param keep: the variables that an author would leave as they are.
    """
    error = _document(answer).get("error")
    offered = re.findall(r"(--patch-data|--keep-data) (\S+)", error["remedy"]) if error else []
    for option, name in offered if error and error["code"] == "data-changed" else ():
        if (option == KEEP_DATA) == (name in keep):
            return option, name
    return None


def _document(answer: str) -> dict[str, Any]:
    try:
        document = json.loads(answer)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def load(path: Path) -> dict[str, Record]:
    """The last word on each file.  A line that is cut short (we were killed) is none."""
    records: dict[str, Record] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            fields = json.loads(line)
        except ValueError:
            continue
        tuples = {
            name: tuple(fields.get(name, ()))
            for name in ("functions", "in_force", "patch_data", "keep_data")
        }
        records[fields["file"]] = Record(
            **fields | tuples | {"outcome": Outcome(fields["outcome"])}
        )
    return records


def append(path: Path, record: Record) -> None:
    with path.open("a") as stream:
        stream.write(json.dumps(asdict(record)) + "\n")


def table(records: Iterable[Record]) -> str:
    """How many of each outcome, the refusals by code, and the percentage that was built and
    loaded."""
    known = list(records)
    counted = Counter(record.outcome for record in known)
    apart = counted[Outcome.OLD_HEADERS] + counted[Outcome.NO_CHANGE]
    eligible = len(known) - apart
    share = f"{100 * counted[Outcome.LOADED] / eligible:.1f} %" if eligible else "none"
    lines = [f"{len(known):5} files"]
    for outcome in Outcome:
        if not counted[outcome]:
            continue
        lines.append(f"{counted[outcome]:5} {outcome.value}")
        if outcome in (Outcome.REFUSED, Outcome.WRONG):
            lines += _by_code([record for record in known if record.outcome is outcome])
    named = sum(record.outcome is Outcome.LOADED and bool(record.patch_data) for record in known)
    if named:
        lines.append(
            f"{named:5} of the loaded name a variable with --patch-data, as the refusal said"
        )
    kept = sum(record.outcome is Outcome.LOADED and bool(record.keep_data) for record in known)
    if kept:
        lines.append(
            f"{kept:5} of the loaded leave a variable as it is with --keep-data, "
            "as reading the fix decided"
        )
    lines += [
        f"{eligible:5} compile and change code; {share} of them were built and loaded",
        *_times(known),
    ]
    return "\n".join(lines)


def _by_code(records: Sequence[Record]) -> list[str]:
    codes: Mapping[str, int] = Counter(record.code for record in records)
    return [
        f"{count:11} {code}"
        for code, count in sorted(codes.items(), key=lambda item: (-item[1], item[0]))
    ]


def _times(records: Sequence[Record]) -> list[str]:
    seconds = sorted(record.seconds for record in records if record.seconds)
    if not seconds:
        return []
    return [
        f"a build took {seconds[len(seconds) // 2]:.1f} s in the middle, "
        f"{seconds[-1]:.1f} s at most"
    ]
