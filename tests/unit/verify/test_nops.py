# SPDX-License-Identifier: GPL-2.0-or-later
"""Static branches are compared in the form that objtool gives them; compiled here as the kernel's
header does it."""

from __future__ import annotations

import pytest

from suture.verify.nops import as_shipped
from tests.unit.toolchain import compile_c, tool, view

# arch/x86/include/asm/jump_label.h: arch_static_branch() with CONFIG_HAVE_JUMP_LABEL_HACK.
BRANCH = r"""extern int outside(int);
struct static_key {{ long enabled; void *entries; }};
extern struct static_key key;
int one(int x)
{{
    asm goto("1: jmp %l[yes]\n.pushsection __jump_table,\"aw\"\n.balign 8\n.long 1b - .\n.long %l[yes] - .\n"
             ".quad %c0 + %c1 - .\n.popsection" : : "i"(&key), "i"({addend}) : : yes);
    return outside(x);
yes:
    {body}
    return outside(x + 3) * 5;
}}
"""


def test_a_jump_that_objtool_makes_a_nop_is_one() -> None:
    text = BRANCH.format(addend=2, body="")
    read = view(text)
    (unit,) = (unit for unit in read.units if unit.name == "one")
    code, _ = as_shipped(read, unit)
    raw = read.data(unit)
    changed = [index for index, (a, b) in enumerate(zip(raw, code, strict=True)) if a != b]
    assert len(code) == len(raw)
    place = changed[0]
    assert code[place : place + 2].hex() == "6690"
    lines = tool("objdump", "-d", data=compile_c(text)).splitlines()
    assert any(line.strip().startswith(f"{place:x}:") and "jmp" in line for line in lines)


def test_a_jump_to_the_cold_part_becomes_a_long_nop_without_its_reference() -> None:
    text = BRANCH.format(
        addend=2, body="extern __attribute__((cold)) void complain(void); complain();"
    )
    read = view(text)
    (unit,) = (unit for unit in read.units if unit.name == "one")
    assert any(other.name == "one.cold" for other in read.units)
    before = list(read.references(unit))
    code, after = as_shipped(read, unit)
    assert bytes.fromhex("0f1f440000") in code
    assert len(after) == len(before) - 1


@pytest.mark.parametrize("addend", [0, 1])
def test_other_jumps_stay(addend: int) -> None:
    read = view(BRANCH.format(addend=addend, body=""))
    (unit,) = (unit for unit in read.units if unit.name == "one")
    assert as_shipped(read, unit) == (read.data(unit), list(read.references(unit)))
