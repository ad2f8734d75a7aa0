# SPDX-License-Identifier: GPL-2.0-or-later
"""Code that passes the address of its own ``struct bug_entry`` on, as ``WARN_ONCE()`` with a format
does since Linux 6.19."""

from __future__ import annotations

import re

import pytest

from suture.diff.changes import Changes, compare
from suture.diff.comparison import Side
from suture.elf import writer
from suture.elf.object import ObjectFile
from suture.link import klp
from suture.link.stack_visibility import cover
from suture.model import LivePatch, PatchedFunction, PatchedObject
from suture.objects.special import Entries
from suture.objects.view import View
from suture.verify.preimage import Match, Mismatch, match_at
from tests.unit.link.module import linked
from tests.unit.toolchain import (
    SIZES,
    Anything,
    changed_names,
    compile_c,
    link,
    read,
    relocation_lines,
    section_lines,
    select_with,
    symbol_lines,
)
from tests.unit.verify.kernel import original, shipped, unit

ENTRY = 16

# arch/x86/include/asm/bug.h of Linux 7.3, made short
SOURCE = r"""
extern int outside(const char *, int);
extern void trap(void *entry, int x);
#define WARN(format, x) ({ void *bug; asm volatile("lea (2f)(%%rip), %0\n1:\n.pushsection __bug_table,\"aw\"\n" \
    "2: .long 1b - .\n .long %c1 - .\n .long %c2 - .\n .word %c3\n .word 9\n .org 2b+16\n.popsection" \
    : "=r" (bug) : "i" (format), "i" (HEADER), "i" (__LINE__)); trap(bug, x); asm (""); })
#define HEADER "./include/some.h"
int before(int x) { if (x > 9) WARN("before %d", x); return outside("b", x); }
int work(int x) { if (x > 9) WARN("size %d", x); if (x < 3) WARN("few %d", x); return outside("w", x) + 1; }
int after(int x) { if (x > 9) WARN("after %d", x); return outside("a", x); }
"""


def side(text: str) -> Side:
    view = View(read(compile_c(text)))
    return Side(view, Entries(view, {**SIZES, "__bug_table": ENTRY}))


def changes(patched: str, *, lines_count: bool = True) -> Changes:
    return compare(side(SOURCE), side(patched), lines_count=lines_count)


def cut(patched: str) -> ObjectFile:
    return select_with(changes(patched), Anything()).obj


def entry_places(obj: ObjectFile, section: str) -> list[int]:
    """The offsets in ``__bug_table`` to which code refers."""
    found = [re.search(r"__bug_table ([+-]) (\w+)", one) for one in relocation_lines(obj, section)]
    return [int(f"{one[1]}{one[2]}", 16) + 4 for one in found if one]


def test_code_refers_to_the_copy_of_its_own_entry() -> None:
    out = cut(SOURCE.replace("+ 1", "+ 2"))
    sizes = {name: size for name, _, size, _ in section_lines(out)}
    assert sizes["__bug_table"] == 2 * ENTRY
    together = read(link(writer.write(out)))
    assert sorted(entry_places(together, ".text.work")) == [0, ENTRY]


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("size %d", "length %d", {"work"}),
        ("after %d", "behind %d", {"after"}),
        # lines move
        ("\nint before", "\n\n\nint before", {"before", "work", "after"}),
        # entries move
        ('if (x > 9) WARN("before %d", x); ', "", {"before"}),
    ],
)
def test_an_entry_counts_as_what_it_says(old: str, new: str, names: set[str]) -> None:
    assert changed_names(changes(SOURCE.replace(old, new))) == names


def test_lines_alone_need_not_count() -> None:
    moved = SOURCE.replace("\nint before", "\n\n\nint before")
    assert changed_names(changes(moved, lines_count=False)) == set()


def test_code_is_not_entered_through_the_entry_about_it() -> None:
    output = select_with(changes(SOURCE.replace("+ 1", "+ 2")), Anything())
    functions = (PatchedFunction("work", 0, f"{klp.ENTRY}0", "test.c"),)
    patch = LivePatch("livepatch_test", (PatchedObject("vmlinux", functions),))
    module = klp.finish(cover(linked(output), patch))
    assert symbol_lines(module)["work"][2] == "FUNC"


@pytest.mark.parametrize(
    ("old", "new", "is_same"),
    [
        ("", "", True),
        # built outside its source
        ('"./include/some.h"', '"include/some.h"', True),
        ('"./include/some.h"', '"include/other.h"', False),
        ('"size %d"', '"limit %d"', False),
    ],
)
def test_what_the_shipped_entry_reports_is_compared(old: str, new: str, is_same: bool) -> None:
    view, kernel = original(SOURCE), shipped(SOURCE.replace(old, new), TRAP)
    result = match_at(view, unit(view, "work"), kernel, kernel.addresses("work")[0])
    assert isinstance(result, Match if is_same else Mismatch), result


TRAP = "void trap(void *entry, int x) {}\n"
