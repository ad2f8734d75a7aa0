# SPDX-License-Identifier: GPL-2.0-or-later
"""The examples on the page of refusals are what the program prints for the code that stands
here."""

from __future__ import annotations

import pytest

from suture.diff.changes import compare
from suture.diff.users import refuse_unhookable
from suture.errors import Refusal
from tests.examples import shows
from tests.unit.toolchain import Anything, compile_c, select_with, side

BASE = """
#define IN(name) __attribute__((section(name), used))
extern int outside(const char *, int);
static int limit = 5;
IN(".init.data") int boot_value = 1;
int work(int x) { return outside("work", x) + limit++; }
__attribute__((no_instrument_function)) int quiet(int x) { return outside("quiet", x); }
"""

CHANGES = {
    "data-changed": ("limit = 5", "limit = 6"),
    "function-not-traceable": ('"quiet"', '"loud"'),
    "init-referenced": ('"work", x', '"work", boot_value'),
    "tracepoint-changed": (
        "int work",
        'const long __tracepoint_work IN("__tracepoints") = 1;\nint work',
    ),
    "section-changed": ("int work", 'const long neu IN(".builtin_fw") = 1;\nint work'),
    "symbol-unsupported": (
        "int work(int x) { return",
        'asm(".data\\n.zero 16\\n.text");\nint work(int x) { asm volatile("incl .data+4(%rip)"); return',
    ),
    "relocation-unsupported": (
        "int work(int x) { return",
        'int work(int x) { asm volatile("movq outside@GOTPCREL(%rip), %rax"); return',
    ),
}


def cut_out(before: str, after: str) -> None:
    changes = compare(side(compile_c(before)), side(compile_c(after)))
    refuse_unhookable(changes)
    select_with(changes, Anything())


@pytest.mark.parametrize("code", CHANGES)
def test_the_example_is_what_is_printed(code: str) -> None:
    after = BASE.replace(*CHANGES[code])
    with pytest.raises(Refusal) as refused:
        cut_out(BASE, after)
    shows(refused.value, code)
