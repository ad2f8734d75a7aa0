# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions that share a section (``__sched``, ``noinstr``) call each other without a
relocation."""

from __future__ import annotations

import re

import pytest

from suture.elf import writer
from suture.errors import Refusal
from tests.unit.toolchain import changed_names, changes, compile_c, disassembly, output, tool

SHARED = r"""
extern int outside(const char *, int);
#define SHARED __attribute__((section(".sched.text"), noinline))
SHARED static int first(int x) { return outside("first", x); }
SHARED static int inner(int x) { return outside("inner", x); }
SHARED int outer(int x) { return inner(x) + inner(x + 1); }
int user(int x) { return outer(x) + first(x); }
"""


def test_the_assembler_leaves_no_relocation() -> None:
    text = tool("objdump", "-dr", "--disassemble=outer", data=compile_c(SHARED))
    assert "<inner>" in text
    assert "R_X86_64_PLT32\tinner" not in text.replace(" ", "")


def test_a_call_to_a_neighbour_that_stays_still_leads_there() -> None:
    cut = output(SHARED, SHARED.replace("x + 1", "x + 2"))
    assert [replaced.original.name for replaced in cut.replaced] == ["outer"]
    calls = [line for line in disassembly(cut.obj, "outer") if "R_X86_64_PC32 inner" in line]
    assert len(calls) == 2


def test_the_distance_to_the_neighbour_is_gone_from_the_field() -> None:
    """The module loader refuses a field that holds something before it is relocated."""
    cut = output(SHARED, SHARED.replace("x + 1", "x + 2"))
    text = tool("objdump", "-d", "--disassemble=outer", data=writer.write(cut.obj))
    calls = [
        line.split("\t")[1].split() for line in text.splitlines() if re.search(r"\tcall\s", line)
    ]
    assert calls == [["e8", "00", "00", "00", "00"]] * 3  # fentry, and inner() twice


def test_a_call_between_two_changed_neighbours_stays_inside() -> None:
    patched = SHARED.replace("x + 1", "x + 2").replace('"inner"', '"inside"')
    cut = output(SHARED, patched)
    assert {replaced.original.name for replaced in cut.replaced} == {"outer", "inner"}
    text = tool("readelf", "-rW", data=writer.write(cut.obj))
    assert text.count(" inner - 4") == 2


def test_a_neighbour_that_grows_does_not_change_the_others() -> None:
    patched = SHARED.replace('outside("first", x)', 'outside("first", x) * 7 + outside("again", x)')
    assert changed_names(changes(SHARED, patched)) == {"first"}


def test_a_call_to_another_neighbour_is_a_change() -> None:
    patched = SHARED.replace("inner(x) + inner(x + 1)", "inner(x) + first(x + 1)")
    assert changed_names(changes(SHARED, patched)) == {"outer"}


def test_a_jump_of_one_byte_to_a_neighbour_cannot_be_moved() -> None:
    tail = SHARED.replace("return inner(x) + inner(x + 1);", "return inner(x + 1);")
    assert "jmp" in tool("objdump", "-d", "--disassemble=outer", data=compile_c(tail))
    with pytest.raises(Refusal) as refused:
        output(tail, tail.replace("inner(x + 1)", "inner(x + 2)"))
    assert refused.value.code == "symbol-unsupported"
