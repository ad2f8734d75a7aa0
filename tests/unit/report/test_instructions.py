# SPDX-License-Identifier: GPL-2.0-or-later
"""Instructions before and after a change, beside objdump's."""

from __future__ import annotations

import re

from suture.objects.view import Unit, View
from suture.report.content import CodeRow, Mark
from suture.report.instructions import MOST_ROWS, code_size, quoted, side_by_side
from tests.unit.toolchain import compile_c, read, tool

SOURCE = """
extern int outside(const char *, int);
extern int table[8];
int changed(int x)
{
    int sum = 0;
    while (x--) sum += outside("a loop", table[x & 7]);
    EXTRA
    return sum;
}
"""


def side(extra: str) -> tuple[View, Unit]:
    view = View(read(compile_c(SOURCE.replace("EXTRA", extra))))
    return view, view.by_name["changed"][0]


def test_all_instructions_of_both_sides_are_there_and_as_objdump_has_them() -> None:
    rows, omitted = side_by_side(None, side(""))
    assert omitted == 0
    assert {row.mark for row in rows} == {Mark.ADDED}
    listing = tool(
        "objdump", "-d", "--no-show-raw-insn", data=compile_c(SOURCE.replace("EXTRA", ""))
    )
    theirs = re.findall(r"^ +([0-9a-f]+):\s+(\S+)", listing, re.MULTILINE)
    ours = [row.after.split()[:2] for row in rows]
    assert [offset for offset, _ in ours] == [offset for offset, _ in theirs]
    assert all(
        a.rstrip("lqwb") == b.rstrip("lqwb") for (_, a), (_, b) in zip(ours, theirs, strict=True)
    )


def test_what_the_code_refers_to_is_named() -> None:
    rows, _ = side_by_side(None, side(""))
    text = "\n".join(row.after for row in rows)
    assert "call outside" in text
    assert '"a loop"' in text
    assert "# table" in text


def test_only_what_differs_is_shown_with_what_is_around() -> None:
    rows, _ = side_by_side(side(""), side('outside("after", 1);'))
    marks = [row.mark for row in rows]
    assert Mark.SKIPPED in marks
    assert any(row.mark is Mark.ADDED and "outside" in row.after for row in rows)
    # A jump over code that grew is the same jump.
    assert all(row.before and row.after for row in rows if row.mark is Mark.SAME)


def test_equal_functions_have_one_row_that_says_so() -> None:
    rows, omitted = side_by_side(side(""), side(""))
    assert [row.mark for row in rows] == [Mark.SKIPPED]
    assert omitted == 0


def test_of_a_large_function_the_first_rows_are_shown() -> None:
    rows, omitted = side_by_side(None, side(f"{{ {'outside(0, sum);' * MOST_ROWS} }}"))
    assert len(rows) == MOST_ROWS
    assert omitted > 0
    assert isinstance(rows[0], CodeRow)


def test_the_size_counts_the_cold_part() -> None:
    view = View(
        read(
            compile_c(
                "extern __attribute__((cold)) void complain(int);\n"
                "int changed(int x) { if (x < 0) complain(x); return x; }"
            )
        )
    )
    (unit,) = view.by_name["changed"]
    assert code_size(view, unit) > unit.size


def test_strings_are_shortened_and_escaped() -> None:
    assert quoted(b"one\n\0") == '"one\\n"'
    assert quoted(b"x" * 99 + b"\0").endswith('…"')
    assert quoted(b"\1\2") == "the constant 0102"
