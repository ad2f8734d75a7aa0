# SPDX-License-Identifier: GPL-2.0-or-later
"""What an input is, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.behaviour.kernels import SERIES
from bench.behaviour.parts import Part

RECORD = "record.json"
MODULES = "modules"


@dataclass(frozen=True, slots=True)
class Input:
    """Files, and the command lines that are run on them one after the other.

    :ivar name: camp and what is special about it, as in ``kpatch/callbacks``.
    :ivar steps: words of ``suture``, where ``{release}``, ``{other}`` (the release of the other
        series) and ``{kallsyms}``, ``{symvers}``, ``{vmlinux}`` stand for what the kernel has.
    :ivar files: by path in the working directory.
    :ivar code: the refusal that the last step is to end with; "" where it is to succeed.
    :ivar series: the kernels that it is for.
    """

    name: str
    steps: tuple[tuple[str, ...], ...]
    files: Mapping[str, Part]
    code: str = ""
    series: tuple[str, ...] = SERIES


@dataclass(frozen=True, slots=True)
class Step:
    """What one command line ended with.

    :ivar code: of the refusal, or "".
    :ivar refusal: all words of the refusal; of a program that died, the end of what it said.
    :ivar document: what it printed when done, with paths and times masked.
    """

    words: tuple[str, ...]
    status: int
    code: str
    refusal: str
    document: object


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an input.

    :ivar given: SHA-256 of its files.
    :ivar expected: the code that the last step is to end with, or "".
    :ivar written: by path, SHA-256 of each file that the steps wrote.
    """

    given: str
    expected: str
    steps: tuple[Step, ...]
    written: Mapping[str, str]
    seconds: float

    @property
    def is_as_expected(self) -> bool:
        """Whether the last step ended as the input means it to, and those before it well."""
        *before, last = self.steps
        statuses = [step.status for step in before]
        return not any(statuses) and (last.status, last.code) == (
            bool(self.expected),
            self.expected,
        )


@dataclass(frozen=True, slots=True)
class Record:
    """What came of all inputs.

    :ivar kernels: by series, release and version.
    :ivar outcomes: by series and name.
    :ivar modules: the directory of what was written.
    """

    kernels: Mapping[str, str]
    outcomes: Mapping[str, Outcome]
    modules: Path


def save(record: Record, directory: Path) -> None:
    """Write ``record.json``; the modules are there already."""
    outcomes = {name: asdict(outcome) for name, outcome in sorted(record.outcomes.items())}
    document = {"kernels": record.kernels, "outcomes": outcomes}
    (directory / RECORD).write_text(json.dumps(document, indent=1) + "\n")


def load(directory: Path) -> Record:
    """Read what `save` wrote."""
    document = json.loads((directory / RECORD).read_text())
    outcomes = {name: _outcome(fields) for name, fields in document["outcomes"].items()}
    return Record(document["kernels"], outcomes, directory / MODULES)


def _outcome(fields: dict[str, object]) -> Outcome:
    steps = fields.pop("steps")
    assert isinstance(steps, list)
    read = tuple(Step(**{**step, "words": tuple(step["words"])}) for step in steps)
    return Outcome(steps=read, **fields)  # type: ignore[arg-type]
