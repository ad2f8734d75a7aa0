# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a function can return anything but 0, asked of what the compiler makes of it."""

from __future__ import annotations

import pytest

from suture.diff.hooks import always_returns_zero
from suture.objects.view import View
from tests.unit.toolchain import compile_c, read

RETPOLINES = ("-mfunction-return=thunk-extern", "-mindirect-branch=thunk-extern")

ZERO = (
    "int f(void) { return 0; }",
    "int f(void) { outside(3); limit = 4; return 0; }",
    "int f(void) { for (int i = 0; i < limit; i++) outside(i); return 0; }",
    "int f(void) { if (limit) outside(1); else if (limit2) return 0; limit2 = 8; return 0; }",
)
OTHER = (
    "int f(void) { return 1; }",
    "int f(void) { return limit; }",
    "int f(void) { return outside(3); }",
    "int f(void) { int x = outside(3); limit = 1; return x; }",
    "int f(void) { if (limit) return -16; outside(4); return 0; }",
    "int f(void) { return limit ? 0 : 4; }",
    "int f(void) { return limit && limit2; }",
    "int f(void) { return pointer(1); }",
    "unsigned long f(void) { return 0x100000000; }",
)
BEFORE = "extern int outside(int), limit, limit2, (*pointer)(int);\n"


def returns_zero(text: str, *options: str) -> bool:
    view = View(read(compile_c(BEFORE + text, *options)))
    return always_returns_zero(view, view.by_name["f"][0])


@pytest.mark.parametrize("options", [(), RETPOLINES, ("-O1",)])
@pytest.mark.parametrize("text", ZERO)
def test_it_always_returns_zero(text: str, options: tuple[str, ...]) -> None:
    assert returns_zero(text, *options)


@pytest.mark.parametrize("options", [(), RETPOLINES, ("-O1",)])
@pytest.mark.parametrize("text", OTHER)
def test_it_may_return_something_else(text: str, options: tuple[str, ...]) -> None:
    assert not returns_zero(text, *options)
