# SPDX-License-Identifier: GPL-2.0-or-later
"""Instructions of a linked function beside those of a module's."""

from __future__ import annotations

from suture.model import PatchedFunction
from suture.report.content import CodeRow, Mark
from suture.report.shipped_code import ModuleCode
from suture.verify.examination import FunctionCheck, PrototypeResult
from tests.unit.toolchain import compile_c, read
from tests.unit.verify.kernel import shipped

KERNEL = """
extern int outside(const char *, int);
int counter = 5;
int helper(int x) { return outside("helped", x); }
int patched(int x)
{
    while (x--) { counter += helper(x); if (outside("loop", x)) return 1; }
    return counter;
}
"""
MODULE = KERNEL.replace('"loop"', '"other"').replace(
    "int helper", "__attribute__((noinline)) int helper"
)


def rows(module: str) -> list[CodeRow]:
    kernel = shipped(KERNEL.replace("int helper", "__attribute__((noinline)) int helper"))
    (address,) = kernel.addresses("patched")
    function = PatchedFunction("patched", 0, "patched")
    check = FunctionCheck("vmlinux", function, address, 0, 0, PrototypeResult.UNKNOWN)
    found, omitted = ModuleCode(read(compile_c(module))).beside(check, kernel)
    assert omitted == 0
    return [row for row in found if row.mark not in (Mark.SAME, Mark.SKIPPED)]


def test_linked_addresses_have_the_names_that_relocations_have() -> None:
    outside_alone = MODULE.replace(
        "__attribute__((noinline)) int helper(int x) {", "int unused(int x) {"
    )
    outside_alone = outside_alone.replace("int counter = 5;", "extern int counter, helper(int);")
    (text,) = rows(outside_alone)
    assert '"loop"' in text.before
    assert '"other"' in text.after


def test_what_the_module_brings_itself_is_marked() -> None:
    texts = [(row.before, row.after) for row in rows(MODULE)]
    assert any(
        before.endswith("call helper") and after.endswith("call helper of the module")
        for before, after in texts
    )
    assert any("counter of the module" in after for _, after in texts)


def test_new_code_that_is_not_found_has_no_rows() -> None:
    assert rows(MODULE.replace("int patched", "int renamed")) == []
