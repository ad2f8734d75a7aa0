# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions that only pass on other line numbers, in objects that somebody else compiled."""

from __future__ import annotations

import pytest

from suture.diff.changes import Changes, compare
from suture.diff.comparison import Side
from suture.elf import writer
from suture.elf.object import SHF_WRITE
from tests.unit.toolchain import Anything, changed_names, compile_c, link, select_with, side

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


SANITIZED = r"""
extern int outside(int);
int array[10];
int first(int x) { return array[x]; }
LINES
int second(int x) { return outside(array[x]) + 1; }
int third(int x) { return outside(1 << x); }
"""
SANITIZE = ("-fsanitize=bounds", "-fsanitize=shift")


def sanitized(old: str, new: str, *, lines_count: bool = False) -> Changes:
    before = SANITIZED.replace("LINES", "#line 100")
    original = side(compile_c(before, *SANITIZE))
    patched = side(compile_c(before.replace(old, new), *SANITIZE))
    return compare(original, patched, lines_count=lines_count)


def test_what_a_sanitizer_reports_has_a_line_too() -> None:
    shifted = ("#line 100", "#line 103")
    assert changed_names(sanitized(*shifted, lines_count=True)) == {"second", "third"}
    assert changed_names(sanitized(*shifted)) == set()


@pytest.mark.parametrize("lines_count", [True, False])
def test_what_a_sanitizer_reports_goes_with_its_function(lines_count: bool) -> None:
    # One more place in second() gives those below it other numbers.
    more = sanitized("+ 1;", "+ array[x + 1];", lines_count=lines_count)
    assert changed_names(more) == {"second"}
    out = select_with(more, Anything())
    reports = [section for section in out.obj.sections if section.name.startswith(".data..Lubsan")]
    assert reports
    assert all(section.flags & SHF_WRITE for section in reports)
    link(writer.write(out.obj))
    other = sanitized("1 << x", "1L << x", lines_count=lines_count)
    assert changed_names(other) == {"third"}
