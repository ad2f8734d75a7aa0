# SPDX-License-Identifier: GPL-2.0-or-later
"""Call padding, ENDBR and objtool's hints: what a kernel with IBT has around its functions
(arch/x86/Makefile)."""

from __future__ import annotations

import pytest

from suture.diff.users import refuse_unhookable
from suture.elf import writer
from suture.errors import Refusal
from tests.unit.toolchain import (
    changes,
    link,
    output,
    relocation_lines,
    section_lines,
    symbol_lines,
    tool,
)

IBT = ("-fpatchable-function-entry=16,16", "-fcf-protection=branch")

TEXT = r"""extern int outside(int);
static int table[4];
#define SECTION __attribute__((section(".sched.text")))
#define REACHABLE asm volatile("ud2\n1:\n.pushsection .discard.reachable\n.long 1b - .\n.popsection")
SECTION int zero(int x) { return outside(x) * 7; }
SECTION int one(int x) { if (x) REACHABLE; return outside(x) + table[x & 3]; }
int two(int x) { if (x) REACHABLE; return outside(x) - table[x & 3]; }
__attribute__((no_instrument_function)) int untraced(int x) { return x + 40; }
"""


@pytest.mark.parametrize(("old", "name"), [("+ table", "one"), ("- table", "two")])
def test_the_padding_goes_with_its_function(old: str, name: str) -> None:
    out = output(TEXT, TEXT.replace(old, f"* 3 {old}"), *IBT)
    value, size, *_ = symbol_lines(out.obj)[name]
    assert int(value, 16) == 16
    held = next(
        line
        for line in section_lines(out.obj)
        if line[0].startswith(".text.") and line[0].endswith(name)
    )
    assert held[2] == 16 + int(size, 0)
    code = tool("objdump", "-d", "-j", held[0], "--no-show-raw-insn", data=writer.write(out.obj))
    instructions = [line.split("\t")[1].strip() for line in code.splitlines() if "\t" in line]
    assert instructions[:17] == ["nop"] * 16 + ["endbr64"]


def test_the_entry_points_at_the_padding_and_can_be_linked_with_others() -> None:
    out = output(
        TEXT, TEXT.replace("+ table", "* 3 + table").replace("- table", "* 3 - table"), *IBT
    )
    lines = relocation_lines(out.obj, "__patchable_function_entries")
    assert sorted(line.split(" ", 2)[2] for line in lines) == [".text.one + 0", ".text.two + 0"]
    assert all(
        "L" in line[3]
        for line in section_lines(out.obj)
        if line[0] == "__patchable_function_entries"
    )
    other = output(TEXT, TEXT.replace("x) * 7", "x) * 8"), *IBT)
    linked = link(writer.write(out.obj), writer.write(other.obj))
    assert len(relocation_lines(linked, "__patchable_function_entries")) == 3


def test_an_entry_before_the_function_is_no_fentry_call() -> None:
    with pytest.raises(Refusal) as refused:
        refuse_unhookable(changes(TEXT, TEXT.replace("x + 40", "x + 41"), *IBT))
    assert refused.value.code == "function-not-traceable"


def test_hints_go_with_their_function_and_refer_to_its_section() -> None:
    """As objtool wants them (tools/objtool/check.c: add_dead_ends())."""
    data = writer.write(output(TEXT, TEXT.replace("+ table", "* 3 + table"), *IBT).obj)
    (line,) = relocation_lines(data, ".discard.reachable")
    _, _, name, _, place = line.split()
    assert name == ".text.one"
    code = tool("objdump", "-d", "-j", ".text.one", "--no-show-raw-insn", data=data)
    before = [
        line
        for line in code.splitlines()
        if "\t" in line and int(line.split(":")[0], 16) < int(place, 16)
    ]
    assert before[-1].split("\t")[1].strip() == "ud2"


def test_a_jump_to_the_cold_part_is_against_its_section() -> None:
    """By name, objtool would take it for a tail call (tools/objtool/check.c:
    add_jump_destinations())."""
    text = TEXT + (
        "extern __attribute__((cold)) void complain(void);\n"
        "int three(int x) { if (x == 5) { complain(); return 3; } return outside(x); }\n"
    )
    out = output(text, text.replace("x == 5", "x == 6"), *IBT)
    jumps = [
        line
        for line in relocation_lines(out.obj, ".text.three")
        if "unlikely" in line or "cold" in line
    ]
    assert jumps
    assert all(line.split()[2].startswith(".text") for line in jumps)
