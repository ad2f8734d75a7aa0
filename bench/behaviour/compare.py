# SPDX-License-Identifier: GPL-2.0-or-later
"""Two records side by side: what differs, in a table, and in which sections modules differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.behaviour.model import Outcome, Record, Step
from bench.behaviour.sections import differing, only_build_id

WORDS = frozenset({"why"})
"""Fields of a document that are prose."""

NOT_COUNTED = ("words", "build ID")
ABSENT = "none"


@dataclass(frozen=True, slots=True)
class Difference:
    """Something about an input that is not as it was.

    :ivar what: ``input``, ``ending``, ``file``, ``document``, or one of `NOT_COUNTED`.
    """

    name: str
    what: str
    before: str
    after: str

    @property
    def counts(self) -> bool:
        """Whether it is a difference of behaviour."""
        return self.what not in NOT_COUNTED


def compare(before: Record, after: Record) -> list[Difference]:
    """All differences, by the name of the input."""
    found: list[Difference] = []
    for series in sorted(before.kernels.keys() | after.kernels.keys()):
        releases = before.kernels.get(series, ABSENT), after.kernels.get(series, ABSENT)
        if releases[0] != releases[1]:
            found.append(Difference(series, "input", *releases))
    for name in sorted(before.outcomes.keys() | after.outcomes.keys()):
        found += _of_input(name, before, after)
    return found


def table(differences: list[Difference]) -> str:
    """The differences as lines of columns."""
    rows = [("input", "what", "before", "after")]
    rows += [(one.name, one.what, one.before, one.after) for one in differences]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, (*widths, 0), strict=True)).rstrip()
        for row in rows
    )


def _of_input(name: str, before: Record, after: Record) -> Iterator[Difference]:
    old, new = before.outcomes.get(name), after.outcomes.get(name)
    if old is None or new is None:
        told = [ABSENT if one is None else _endings(one) for one in (old, new)]
        yield Difference(name, "input", *told)
        return
    if old.given != new.given:
        yield Difference(name, "input", old.given[:12], new.given[:12])
    if _endings(old) != _endings(new):
        yield Difference(name, "ending", _endings(old), _endings(new))
    yield from _files(name, before, after)
    for one, other in zip(old.steps, new.steps, strict=False):
        yield from _of_step(name, one, other)


def _endings(outcome: Outcome) -> str:
    """Status and code of each step."""
    return ", ".join(f"{step.status} {step.code}".rstrip() for step in outcome.steps)


def _files(name: str, before: Record, after: Record) -> Iterator[Difference]:
    old, new = before.outcomes[name].written, after.outcomes[name].written
    for path in sorted(old.keys() | new.keys()):
        if old.get(path) == new.get(path):
            continue
        told = [one.get(path, ABSENT)[:12] for one in (old, new)]
        what, where = _content(*(side / name / path for side in (before.modules, after.modules)))
        yield Difference(name, what, f"{path} {told[0]}", f"{told[1]} {where}".rstrip())


def _content(before: Path, after: Path) -> tuple[str, str]:
    """What kind of difference there is between two files, and where."""
    if not (before.is_file() and after.is_file()):
        return "file", ""
    old, new = before.read_bytes(), after.read_bytes()
    return "build ID" if only_build_id(old, new) else "file", "; ".join(differing(old, new))


def _of_step(name: str, old: Step, new: Step) -> Iterator[Difference]:
    place = _first_difference(_without_words(old.document), _without_words(new.document))
    if place is not None:
        yield Difference(name, "document", *place)
    elif old.document != new.document:
        told = _first_difference(old.document, new.document)
        yield Difference(name, "words", *(told or ("", "")))
    if old.refusal != new.refusal and (old.status, old.code) == (new.status, new.code):
        yield Difference(name, "words", old.refusal, new.refusal)


def _without_words(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_words(one) for key, one in value.items() if key not in WORDS}
    if isinstance(value, list):
        return [_without_words(one) for one in value]
    return value


def _first_difference(old: object, new: object, place: str = "") -> tuple[str, str] | None:
    """Where two documents differ first, and what stands there in each."""
    if old == new:
        return None
    if isinstance(old, dict) and isinstance(new, dict) and list(old) == list(new):
        inner = [(old[key], new[key], f"{place}.{key}") for key in old]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        inner = [(*pair, f"{place}[{at}]") for at, pair in enumerate(zip(old, new, strict=True))]
    else:
        return f"{place or '.'} {_short(old)}", _short(new)
    return next((found for each in inner if (found := _first_difference(*each))), None)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
