# SPDX-License-Identifier: GPL-2.0-or-later
"""Instructions of a function before and after the patch, side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from suture.diff.changes import cold_part
from suture.objects.locals import base, is_cold
from suture.objects.view import (
    Reference,
    ToAbsolute,
    ToAnonymous,
    ToLiteral,
    ToUndefined,
    ToUnit,
    Unit,
    View,
)
from suture.report.content import CodeRow, Mark
from suture.verify.nops import as_shipped

CONTEXT = 3
"""Equal instructions to show around those that differ."""

MOST_ROWS = 400
"""Rows to show of one function; register allocation can change all of a large one."""

QUADRATIC = 4000
"""Instructions above which the comparison takes shortcuts, as it takes the square of the time."""

LONGEST_LITERAL = 48

_ZERO = re.compile(r"(?<![\w%.])(?:0x)?0+(?![\w.])")


@dataclass(frozen=True, slots=True)
class AssemblyLine:
    """One instruction.

    :ivar key: what it does, the same wherever in the function it is.
    :ivar text: its offset and the instruction, for people.
    """

    key: str
    text: str


def side_by_side(
    before: tuple[View, Unit] | None, after: tuple[View, Unit] | None
) -> tuple[tuple[CodeRow, ...], int]:
    """Compare the instructions of a function before and after the patch, the cold part included.

    :param before: None for a new function.
    :return: the rows with differences and those around them, and how many more there are.
    """
    old = list(lines_of(*before)) if before else []
    new = list(lines_of(*after)) if after else []
    return rows_of(old, new)


def rows_of(
    old: Sequence[AssemblyLine], new: Sequence[AssemblyLine]
) -> tuple[tuple[CodeRow, ...], int]:
    """Compare instructions; return as `side_by_side` does."""
    rows = _folded(list(_rows(old, new)))
    shown = rows[:MOST_ROWS]
    return tuple(shown), len(rows) - len(shown)


def code_size(view: View, unit: Unit) -> int:
    """Return the bytes of a function, the cold part included."""
    cold = cold_part(view, unit)
    return unit.size + (cold.size if cold is not None else 0)


def lines_of(view: View, unit: Unit, own: str = "") -> Iterator[AssemblyLine]:
    """Yield the instructions of a function, then those of its cold part.

    :param own: follows the names of what the same object defines.
    """
    yield from _of_unit(view, unit, own)
    cold = cold_part(view, unit)
    if cold is not None:
        yield AssemblyLine("cold", f"{base(cold.name)}:")
        yield from _of_unit(view, cold, own)


def _of_unit(view: View, unit: Unit, own: str) -> Iterator[AssemblyLine]:
    data, references = as_shipped(view, unit)
    decoding = view.obj.arch.decoding
    waiting = references[::-1]
    for one in decoding.instructions(data):
        text = decoding.text(data[one.start : one.end], one.start)
        inside = []
        while waiting and waiting[-1].offset < one.end:
            inside.append(waiting.pop())
        words = text.split(None, 1)
        if inside and inside[0].is_branch:
            key = shown = f"{words[0]} {_target(view, inside[0], unit, own)}"
        elif inside:
            targets = ", ".join(_target(view, reference, unit, own) for reference in inside)
            key = shown = f"{_without_field(text, one.end, inside)}  # {targets}"
        elif one.target is not None:
            key, shown = words[0], f"{words[0]} +{one.target:#x}"
        else:
            key = shown = text
        yield AssemblyLine(key, f"{one.start:6x}  {shown}")


def _without_field(text: str, end: int, inside: Sequence[Reference]) -> str:
    """Return an instruction's text with a mark in place of a field that the linker fills in.

    The field holds zero, which a PC-relative operand shows as the address behind the instruction.
    """
    if any(reference.kind.pc_relative for reference in inside):
        return re.sub(rf"(?<![\w%])(0x0*{end:x}|{end})\b", "…", text, count=1, flags=re.IGNORECASE)
    return _ZERO.sub("…", text, count=1)


def _target(view: View, reference: Reference, unit: Unit, own: str) -> str:
    """Return what a relocated field refers to, by a name that both sides have."""
    match reference.target:
        case ToUnit(other, offset) if other == unit:
            return f"{offset:+#x}"
        case ToUnit(other, offset):
            is_plain = view.is_private(other) or is_cold(other.name)
            return _with_offset(_plain_name(other), offset) + ("" if is_plain else own)
        case ToUndefined(name, offset):
            return _with_offset(name, offset)
        case ToLiteral(_, content, offset):
            return _with_offset(quoted(content), offset)
        case ToAnonymous(section, offset):
            return _unnamed(view, section, offset)
        case ToAbsolute(value):
            return f"{value:#x}"


def _plain_name(unit: Unit) -> str:
    """Return a unit's name; a label of the assembler's is its last choice."""
    return base(next((name for name in unit.names if not name.startswith(".L")), unit.name))


def _unnamed(view: View, section: int, offset: int) -> str:
    """Return the text at a place that no symbol names, or the place."""
    held = view.obj.sections[section]
    text, end, _ = held.data[max(offset, 0) :].partition(b"\0")
    if end and text and offset >= 0 and text.decode("ascii", "replace").isprintable():
        return quoted(text + b"\0")
    return f"{held.name}{offset:+#x}"


def _with_offset(name: str, offset: int) -> str:
    return f"{name}{offset:+#x}" if offset else name


def quoted(content: bytes) -> str:
    """Return a string constant as C writes it, shortened."""
    if not content.endswith(b"\0"):
        return f"the constant {content.hex()}"
    text = content.rstrip(b"\0").decode("utf-8", "backslashreplace")
    short = text if len(text) <= LONGEST_LITERAL else f"{text[:LONGEST_LITERAL]}…"
    return (
        '"'
        + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in short)
        + '"'
    )


def _rows(old: Sequence[AssemblyLine], new: Sequence[AssemblyLine]) -> Iterator[CodeRow]:
    is_large = max(len(old), len(new)) > QUADRATIC
    keys = [one.key for one in old], [one.key for one in new]
    matcher = SequenceMatcher(None, *keys, autojunk=is_large)
    for tag, first, end, new_first, new_end in matcher.get_opcodes():
        left, right = old[first:end], new[new_first:new_end]
        for number in range(max(len(left), len(right))):
            before = left[number].text if number < len(left) else ""
            after = right[number].text if number < len(right) else ""
            yield CodeRow(_mark(tag == "equal", before, after), before, after)


def _mark(is_equal: bool, before: str, after: str) -> Mark:
    if is_equal:
        return Mark.SAME
    if before and after:
        return Mark.CHANGED
    return Mark.REMOVED if before else Mark.ADDED


def _folded(rows: Sequence[CodeRow]) -> list[CodeRow]:
    """Replace long runs of equal rows by one that says how many they are."""
    near: set[int] = set()
    for number, row in enumerate(rows):
        if row.mark is not Mark.SAME:
            near.update(range(number - CONTEXT, number + CONTEXT + 1))
    folded: list[CodeRow] = []
    skipped = 0
    for number, row in enumerate(rows):
        if number not in near:
            skipped += 1
            continue
        if skipped:
            folded.append(_skipped(skipped))
            skipped = 0
        folded.append(row)
    if skipped:
        folded.append(_skipped(skipped))
    return folded


def _skipped(count: int) -> CodeRow:
    what = "1 equal instruction" if count == 1 else f"{count} equal instructions"
    return CodeRow(Mark.SKIPPED, what, "")
