# SPDX-License-Identifier: GPL-2.0-or-later
"""A jump from a replaced function into new code, which the kernel's search of stacks does not see."""

from __future__ import annotations

import pytest

from suture.errors import Refusal
from tests.unit.objects import changed_names, changes, compile_c, disassembly, output

BASE = """
extern int outside(int);
#define NEW static __attribute__((noinline)) int
int work(int x) { return outside(x); }
int other(int x) { return outside(x) + 1; }
"""
HELPER = "NEW helper(int x) { return outside(x) + outside(x + 1); }\nint work"


def patched(body: str) -> str:
    return BASE.replace("int work(int x) { return outside(x); }", f"{HELPER}(int x) {{ {body} }}")


def test_a_tail_call_of_a_new_function_is_refused_by_name() -> None:
    text = patched("return helper(x + 2);")
    assert any("jmp" in line for line in disassembly(compile_c(text), "work"))
    with pytest.raises(Refusal) as refused:
        output(BASE, text)
    assert refused.value.code == "tail-call-unseen"
    assert "work()" in refused.value.where
    assert "helper()" in refused.value.found


def test_a_jump_under_a_condition_is_one_too() -> None:
    with pytest.raises(Refusal) as refused:
        output(BASE, patched("if (x > 7) return helper(x); return outside(x);"))
    assert refused.value.code == "tail-call-unseen"


@pytest.mark.parametrize(
    "body",
    ["return helper(x) + 1;", 'int y = helper(x + 2); asm volatile("" ::: "memory"); return y;'],
    ids=["a call", "what the way out says"],
)
def test_a_call_leaves_its_trace(body: str) -> None:
    out = output(BASE, patched(body))
    assert out.new == ("helper",)


def test_a_jump_to_what_stays_or_is_replaced_is_none_of_it() -> None:
    text = BASE.replace("{ return outside(x); }", "{ return outside(x + 1); }")
    text = text.replace("return outside(x) + 1;", "return work(x + 3);")
    found = changes(BASE, text)
    assert changed_names(found) == {"work", "other"}
    assert {one.original.name for one in output(BASE, text).replaced} == {"work", "other"}
