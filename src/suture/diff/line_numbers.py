# SPDX-License-Identifier: GPL-2.0-or-later
"""Line numbers in code: a patch that adds one line changes ``__LINE__`` in all functions below it.

`suture.workspace.lines` keeps the numbers where Suture compiles both sides.  Objects that somebody
else compiled differ in them: in the entries that ``WARN_ON()`` makes, and in an argument of
functions that print where they were called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from suture.arch import Architecture
from suture.objects.view import Reference, ToUndefined

LINE_ARGUMENTS: Mapping[str, int] = {
    # include/linux/kernel.h, kernel/sched/core.c: might_sleep(), might_fault(), cant_sleep()
    "__might_sleep": 1,
    "___might_sleep": 1,
    "__might_resched": 1,
    "__might_fault": 1,
    "__cant_sleep": 1,
    "__cant_migrate": 1,
    # include/linux/rcupdate.h: RCU_LOCKDEP_WARN()
    "lockdep_rcu_suspicious": 1,
    # include/asm-generic/bug.h, where there are no entries for WARN()
    "warn_slowpath_fmt": 1,
    "warn_slowpath_fmt_taint": 1,
    "warn_slowpath_null": 1,
}
"""Functions that get a line, and which argument that is, from 0."""

BUG_TABLE = "__bug_table"

LINE_IN_ENTRY: Mapping[int, int] = {12: 8, 24: 16, 16: 12, 32: 24}
"""Size of ``struct bug_entry`` -> offset of `line`, two bytes: with distances and with addresses,
then the same with `format`, since 6.19 (include/asm-generic/bug.h)."""

REPORTED_LINE = 8
"""The offset, behind the pointer to the file's name; four bytes."""

NUMBER = 4
"""Bytes of a number in an instruction that loads one, its last ones."""


def without_line(section: str, entry: bytes) -> bytes:
    """Return an entry of a special section with zeros in place of its line."""
    offset = LINE_IN_ENTRY.get(len(entry)) if section == BUG_TABLE else None
    return entry if offset is None else entry[:offset] + bytes(2) + entry[offset + 2 :]


def without_reported_line(data: bytes) -> bytes:
    """Return what a sanitizer is to report with zeros in place of its line (lib/ubsan.h: struct
    source_location)."""
    return data[:REPORTED_LINE] + bytes(4) + data[REPORTED_LINE + 4 :]


def same_but_lines(
    arch: Architecture,
    before: bytes,
    before_references: Sequence[Reference],
    after: bytes,
    after_references: Sequence[Reference],
) -> bool:
    """Whether two ranges of code differ in nothing but lines that they pass on.

    :param before: the code, with zeros in relocated fields; `after`: likewise.
    """
    if len(before) != len(after):
        return False
    lines = Counter(
        zip(
            _lines(arch, before, before_references),
            _lines(arch, after, after_references),
            strict=False,
        )
    )
    numbers: Counter[tuple[int, int]] = Counter()
    operations: set[int] = set()
    pairs = map(arch.decoding.instructions, (before, after))
    for one, other in zip(*pairs, strict=False):
        mine, theirs = before[one.start : one.end], after[other.start : other.end]
        if mine == theirs:
            continue
        if len(mine) != len(theirs) or mine[:-NUMBER] != theirs[:-NUMBER]:
            return False
        order = arch.machine.order
        numbers[int.from_bytes(mine[-NUMBER:], order), int.from_bytes(theirs[-NUMBER:], order)] += 1
        operations.add(one.operation)
    # As many loads as calls, and all of one kind: none of them is a number of the author's.
    return len(operations) == 1 and all(lines[pair] == many for pair, many in numbers.items())


def _lines(arch: Architecture, code: bytes, references: Sequence[Reference]) -> list[int | None]:
    """Return the lines that code passes to `LINE_ARGUMENTS`, in order; None where it is unknown."""
    relocated = frozenset(reference.offset for reference in references)
    calls = {
        reference.offset: LINE_ARGUMENTS[reference.target.name]
        for reference in references
        if isinstance(reference.target, ToUndefined) and reference.target.name in LINE_ARGUMENTS
    }
    return arch.effects.arguments(code, relocated, calls) if calls else []
