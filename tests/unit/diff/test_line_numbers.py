# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions that only pass on other line numbers, in objects that somebody else compiled."""

from __future__ import annotations

import pytest

from suture.diff.changes import compare
from suture.diff.comparison import Side
from tests.unit.toolchain import changed_names, compile_c, side

# include/linux/kernel.h and include/asm-generic/bug.h of Linux 6.1, made short
SOURCE = r"""
extern int outside(int);
extern void __might_sleep(const char *file, int line), print(const char *text, int line);
#define might_sleep() __might_sleep("some/file.c", __LINE__)
#define WARN() asm volatile("1: ud2\n.pushsection __bug_table,\"aw\"\n2: .long 1b - .\n .long %c0 - .\n" \
    " .word %c1\n .word 1\n .org 2b+12\n.popsection" : : "i"("some/file.c"), "i"(__LINE__))
int first(int x) { return outside(x); }
LINES
int sleeps(int x) { might_sleep(); return outside(x) + 100; }
int sleeps_twice(int x) { might_sleep(); x = outside(x); might_sleep(); return x; }
int warns(int x) { if (x) WARN(); return outside(x); }
int prints(int x) { print("text", __LINE__); return outside(x); }
"""


def changed(old: str, new: str, *, lines_count: bool = False) -> set[str]:
    before = SOURCE.replace("LINES", "#line 100")
    assert before.count(old) == 1
    texts = (before, before.replace(old, new))
    original, patched = map(side_of, texts)
    return changed_names(compare(original, patched, lines_count=lines_count))


def side_of(text: str) -> Side:
    return side(compile_c(text))


def test_where_lines_count_all_below_a_change_differ() -> None:
    every = {"sleeps", "sleeps_twice", "warns", "prints"}
    assert changed("#line 100", "#line 103", lines_count=True) == every


def test_where_they_do_not_those_differ_that_do_more_with_it() -> None:
    """What print() does with a number nobody knows."""
    assert changed("#line 100", "#line 103") == {"prints"}


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("outside(x) + 100", "outside(x) + 103", "sleeps"),
        (
            "might_sleep(); return outside(x) + 100",
            "might_sleep(); return outside(x) + 7",
            "sleeps",
        ),
        ("if (x) WARN()", "if (!x) WARN()", "warns"),
        ('"some/file.c", __LINE__)\n#', '"other.c", __LINE__)\n#', ""),
    ],
)
def test_a_change_beside_the_lines_is_found(old: str, new: str, name: str) -> None:
    before = SOURCE.replace("LINES", "#line 100")
    after = SOURCE.replace("LINES", "#line 103")
    assert after.count(old) == 1
    found = changed_names(
        compare(side_of(before), side_of(after.replace(old, new)), lines_count=False)
    )
    assert found == ({"prints", name} if name else {"prints", "sleeps", "sleeps_twice"})
