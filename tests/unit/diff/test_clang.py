# SPDX-License-Identifier: GPL-2.0-or-later
"""What Clang calls things.

The texts in ``clang/`` are what Debian's Clang 14 wrote, with the kernel's options, before and
after a change: ``thinlto_*`` and ``thinlto_user_*`` are two files of one ThinLTO link (``ld.lld
--lto-emit-asm``), in which the second uses static functions and variables of the first that the
compiler inlined into it; ``zero_*`` is one file with lock class keys, which are empty without
lockdep.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from suture.diff.changes import Changes, compare
from suture.elf import writer
from tests.unit.toolchain import (
    Anything,
    assemble,
    changed_names,
    compile_c,
    disassembly,
    relocation_lines,
    select_with,
    side,
    symbol_lines,
)

TEXTS = Path(__file__).with_name("clang")


def text(name: str, which: str) -> bytes:
    return assemble((TEXTS / f"{name}_{which}.s").read_text())


def changed(name: str) -> Changes:
    return compare(side(text(name, "before")), side(text(name, "after")))


def test_a_static_function_that_other_files_use_is_known_under_another_hash() -> None:
    found = changed("thinlto")
    ((before, after),) = found.changed
    assert before.name != after.name
    for name, which in ((before.name, "before"), (after.name, "after")):
        assert symbol_lines(text("thinlto", which))[name][2:4] == ["FUNC", "GLOBAL"]
        assert name.startswith("helper.llvm.")
    assert not found.provided


def test_the_variable_beside_it_is_the_kernels_own() -> None:
    resolver = Anything()
    out = select_with(changed("thinlto"), resolver)
    assert resolver.defined_asked == ["table"]
    (replaced,) = out.replaced
    section = f".text.{out.obj.symbols[replaced.symbol].name}"
    assert any(line.endswith("kernel_table + 0") for line in relocation_lines(out.obj, section))
    assert out.new == ()


def test_another_files_use_counts_as_changed() -> None:
    """Only the link knows whether the same static function is meant; whoever looks it up finds no
    such name."""
    assert changed_names(changed("thinlto_user")) == {"user"}


@pytest.mark.parametrize(("function", "key"), [("work", "work.__key"), ("spread", "spare")])
def test_a_variable_without_size_is_found(function: str, key: str) -> None:
    found = changed("zero")
    assert changed_names(found) == {"work", "spread"}
    assert symbol_lines(text("zero", "after"))[key][1] == "0"
    out = select_with(found, Anything())
    assert any(
        f"kernel_{key} + 0" in line for line in relocation_lines(out.obj, f".text.{function}")
    )


def test_a_jump_table_without_a_name_goes_along() -> None:
    out = select_with(changed("zero"), Anything())
    table = relocation_lines(writer.write(out.obj), ".rodata.spread")
    assert len(table) == 5
    assert all(".text.spread" in line or " spread " in line for line in table)
    assert any("jmp" in line and "*" in line for line in disassembly(out.obj, "spread"))


CONSTANTS = r"""
extern int outside(int), consume(const int *);
static const int values[4] asm("switch.table.work") = { 11, 12, 13, 14 };
static const int local[3] asm("__const.spread.list") = { 21, 22, 23 };
static const int unnamed[2] asm(".L.constants.7") = { 31, 32 };
int work(int x) { return (unsigned)x < 4 ? values[x] : outside(x); }
int spread(int x) { return consume(local) + outside(x); }
int last(int x) { return consume(unnamed) - outside(x); }
"""


@pytest.mark.parametrize(
    ("old", "new", "function"),
    [("12, 13", "12, 15", "work"), ("21, 22", "21, 29", "spread"), ("31, 32", "31, 39", "last")],
)
def test_a_constant_that_clang_made_for_a_function_goes_with_it(
    old: str, new: str, function: str
) -> None:
    """It is no variable of the author's with a new initial value."""
    # The assembler drops names in .L, unless it is told to keep them.
    options = ("-fno-unit-at-a-time", "-Wa,-L")
    original = side(compile_c(CONSTANTS, *options))
    found = compare(original, side(compile_c(CONSTANTS.replace(old, new), *options)))
    assert changed_names(found) == {function}
    resolver = Anything()
    select_with(found, resolver)
    assert resolver.defined_asked == []
