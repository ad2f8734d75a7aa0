# SPDX-License-Identifier: GPL-2.0-or-later
"""Which changed variables a live patch may change in memory, why not the others, and what is made
for it."""

from __future__ import annotations

import re

import pytest

from suture.diff.changes import compare
from suture.diff.contents import Contents, contents, new_values
from suture.diff.data import DataRequest
from suture.diff.escapes import escapes
from suture.diff.stores import VariableUse, variable_uses
from suture.elf import writer
from suture.errors import Refusal
from tests.unit.toolchain import (
    Anything,
    changed_names,
    compile_c,
    link,
    relocation_lines,
    section_lines,
    select_with,
    side,
    tool,
    view,
)

BASE = r"""
#define noinline __attribute__((noinline))
#define in(name) __attribute__((section(name)))
struct ops { int (*run)(int); const char *name; int mode; };
extern int outside(int), elsewhere(int), consume(const void *);
extern int other_array[4];
noinline int helper(int x) { return outside(x) + 1; }
noinline int second(int x) { return outside(x) + 2; }
in(".init.text") int at_boot(int x) { return outside(x); }
const int limits[4] = { 1, 2, 3, 4 };
const struct ops table = { helper, "its name", 4 };
const int *const pointer = &other_array[1];
const char *const text = "before";
in(".data..ro_after_init") struct ops later = { outside, 0, 4 };
in(".data..ro_after_init") int set_at_boot = 4;
static in(".data..read_mostly") volatile int quiet = 5;
static in(".data..read_mostly") volatile int counted = 5;
in(".data..percpu") int each = 5;
in(".init.data") int gone = 5;
in(".special") int odd = 5;
int shared = 5;
int handed_out = 5, in_table = 5;
int *const holder = &in_table;
int array[3] = { 5, 6 };
struct driver { long list[2]; struct ops ops; long count; };
static struct driver driver = { { 0 }, { &helper, "name", 5 }, 7 };
static int counts[4] = { 11, 12, 13, 14 };
static int (*hook)(int) = helper;
int zero;
in(".init.text") int setup(void) { set_at_boot = outside(1); return gone; }
int user(int x)
{
    static const short local[3] = { 7, 8, 9 };
    counted++;
    consume(&handed_out);
    consume(local);
    consume(&driver);
    consume(&hook);
    driver.count += counts[1];
    counts[0]++;
    return quiet + zero + each + local[x] + limits[x] + table.run(x) + later.mode + set_at_boot + array[x];
}
"""

FITTING = {
    "limits": ("{ 1, 2, 3, 4 }", "{ 1, 2, 30, 4 }"),
    "table": ("{ helper, ", "{ second, "),
    "pointer": ("&other_array[1]", "&other_array[2]"),
    "later": ("{ outside, 0, 4 }", "{ elsewhere, 0, 4 }"),
    "quiet": ("quiet = 5", "quiet = 50"),
    "local": ("{ 7, 8, 9 }", "{ 7, 8, 90 }"),
    "driver": ("{ { 0 }, { &helper,", "{ { 0 }, { &second,"),
    "counts": ("{ 11, 12, 13, 14 }", "{ 11, 12, 130, 14 }"),
}

UNFIT = {
    "size": (
        "limits",
        "limits[4] = { 1, 2, 3, 4 }",
        "limits[5] = { 1, 2, 3, 4, 5 }",
        "changes its size",
    ),
    "string": ("text", '"before"', '"after"', "that has no name in the running kernel"),
    "init function": (
        "table",
        "{ helper, ",
        "{ at_boot, ",
        "would point to at_boot at +0x0, which the kernel freed",
    ),
    "string goes": (
        "text",
        '"before"',
        "0",
        "points to a string or constant at +0x0 that has no name",
    ),
    "written at boot": (
        "set_at_boot",
        "set_at_boot = 4",
        "set_at_boot = 40",
        "is written by setup()",
    ),
    "written": ("counted", "counted = 5", "counted = 50", "is written by user()"),
    "address taken": (
        "handed_out",
        "handed_out = 5",
        "handed_out = 50",
        "user() takes its address",
    ),
    "address in data": ("in_table", "in_table = 5", "in_table = 50", "holder takes its address"),
    "global": ("shared", "shared = 5", "shared = 50", "is global and writable"),
    "global structure": ("array", "{ 5, 6 }", "{ 5, 60 }", "is global and writable"),
    "a pointer by itself": (
        "hook",
        "hook)(int) = helper",
        "hook)(int) = second",
        "user() takes its address",
    ),
    "a written word": ("counts", "{ 11, 12,", "{ 11, 120,", "is written by user()"),
    "a number beside others": (
        "driver",
        ', "name", 5 }',
        ', "name", 50 }',
        "holds a number at +0x20, which may be written through a pointer: user() takes its address",
    ),
    "a written member": ("driver", "5 }, 7 }", "5 }, 8 }", "is written by user()"),
    "per-CPU": ("each", "each = 5", "each = 50", "is per-CPU"),
    "moves": (
        "array",
        "int array[3] = { 5, 6 }",
        "const int array[3] = { 5, 6 }",
        "moves from .data.array to",
    ),
}


def made(
    old: str, new: str, *names: str, provided: tuple[str, ...] = ()
) -> tuple[Contents, Anything]:
    assert BASE.count(old) == 1, old
    before, after = side(compile_c(BASE)), side(compile_c(BASE.replace(old, new)))
    resolver = Anything(provided)
    return contents(compare(before, after, DataRequest(names)), "vmlinux", resolver, 0), resolver


def refusal(old: str, new: str, *names: str) -> Refusal:
    with pytest.raises(Refusal) as refused:
        made(old, new, *names)
    return refused.value


@pytest.mark.parametrize("name", FITTING)
def test_what_nothing_else_writes_may_change(name: str) -> None:
    got, _ = made(*FITTING[name], name)
    assert got.symbols == ("livepatch_data_0",)
    assert f"--patch-data {name}" in refusal(*FITTING[name]).remedy


@pytest.mark.parametrize("case", UNFIT)
def test_what_may_not_is_refused_with_the_reason(case: str) -> None:
    name, old, new, reason = UNFIT[case]
    asked = refusal(old, new, name)
    assert asked.code == "data-unpatchable"
    assert reason in asked.found
    unasked = refusal(old, new)
    assert unasked.code == "data-changed"
    assert reason in unasked.evidence[0]
    assert "--patch-data" not in unasked.remedy


LABELS = r"""
extern int outside(int);
int machine(int x) { return outside(x) + 1; }
asm(".section .data.rel.ro.jumps, \"aw\"\n.globl table\n.type table, @object\n"
    "table: .quad FIRST, machine\n.size table, 16\n");
"""


def test_a_label_is_no_value_for_a_table_in_memory() -> None:
    """The label is elsewhere in the running kernel's function."""
    before = side(compile_c(LABELS.replace("FIRST", "0")))
    after = side(compile_c(LABELS.replace("FIRST", "machine + 8")))
    with pytest.raises(Refusal) as refused:
        compare(before, after, DataRequest(["table"]))
    assert refused.value.code == "data-unpatchable"
    assert "would point to a label of machine() at +0x0" in refused.value.found


RENAMED = r"""
extern int outside(int), consume(const void *);
struct ops { int (*run)(int); };
static const int limits[4] = { 1 };
static const int passed[4] = { 2 };
static const int at_boot[4] = { 3 };
const int global[4] = { 4 };
__attribute__((section(".init.text"))) int setup(int x) { return outside(at_boot[x]); }
int use(int x) { return limits[x] + at_boot[x] + global[x] + consume(passed); }
"""


@pytest.mark.parametrize(
    ("name", "may_be"), [("limits", True), ("passed", False), ("at_boot", False), ("global", False)]
)
def test_a_table_that_only_functions_of_the_file_read_may_be_renamed(
    name: str, may_be: bool
) -> None:
    old, new = f"{name}[4] = {{ ", f"{name}[5] = {{ 5, "
    before = side(compile_c(RENAMED))
    with pytest.raises(Refusal) as refused:
        compare(before, side(compile_c(RENAMED.replace(old, new))))
    assert refused.value.code == "data-changed"
    assert ("rename it in the patch" in refused.value.remedy) == may_be
    renamed = RENAMED.replace(old, new).replace(name, f"{name}_new")
    assert name != "limits" or changed_names(compare(before, side(compile_c(renamed)))) == {"use"}


def test_a_special_section_is_not_plain_data() -> None:
    assert refusal("odd = 5", "odd = 50", "odd").code in ("data-unpatchable", "section-changed")


def test_another_changed_variable_is_still_refused() -> None:
    old, new = "array[3] = { 5, 6 }", "array[3] = { 5, 60 }"
    assert refusal(old, new, "limits").code == "data-changed"


def test_it_holds_both_contents_and_the_address() -> None:
    got, resolver = made(*FITTING["limits"], "limits")
    sections = {line[0]: line for line in section_lines(got.obj)}
    assert sections[".rodata.livepatch_data_0"][2:] == (32, "A")
    data = {section.name: section.data for section in got.obj.sections}
    assert data[".rodata.livepatch_data_0_old"] == bytes.fromhex(
        "01000000 02000000 03000000 04000000"
    )
    assert data[".rodata.livepatch_data_0_new"] == bytes.fromhex(
        "01000000 02000000 1e000000 04000000"
    )
    assert data[".rodata.livepatch_data_0_mask"] == b"\xff" * 16
    assert relocation_lines(got.obj, ".rodata.livepatch_data_0") == [
        "0 R_X86_64_64 kernel_limits + 0",
        "8 R_X86_64_64 .rodata.livepatch_data_0_old + 0",
        "10 R_X86_64_64 .rodata.livepatch_data_0_new + 0",
        "18 R_X86_64_64 .rodata.livepatch_data_0_mask + 0",
    ]
    assert resolver.defined_asked == ["limits"]


def test_pointers_are_the_kernels_own_and_an_unchanged_string_is_left_alone() -> None:
    got, _ = made(*FITTING["table"], "table")
    assert relocation_lines(got.obj, ".rodata.livepatch_data_0_old") == [
        "0 R_X86_64_64 kernel_helper + 0"
    ]
    assert relocation_lines(got.obj, ".rodata.livepatch_data_0_new") == [
        "0 R_X86_64_64 kernel_second + 0"
    ]
    mask = next(section for section in got.obj.sections if section.name.endswith("_mask"))
    assert mask.data == b"\xff" * 8 + bytes(8) + b"\xff" * 8
    assert "its name" not in writer.write(got.obj).decode("latin-1")


def test_of_a_writable_structure_only_the_words_that_differ_count() -> None:
    got, _ = made(*FITTING["driver"], "driver")
    mask = next(section for section in got.obj.sections if section.name.endswith("_mask"))
    assert mask.data == bytes(16) + b"\xff" * 8 + bytes(24)
    assert relocation_lines(got.obj, ".rodata.livepatch_data_0_new") == [
        "10 R_X86_64_64 kernel_second + 0"
    ]


def test_an_offset_into_another_variable_is_kept() -> None:
    got, _ = made(*FITTING["pointer"], "pointer")
    assert relocation_lines(got.obj, ".rodata.livepatch_data_0_old") == [
        "0 R_X86_64_64 other_array + 4"
    ]
    assert relocation_lines(got.obj, ".rodata.livepatch_data_0_new") == [
        "0 R_X86_64_64 other_array + 8"
    ]


def test_a_pointer_may_lead_to_what_another_file_of_the_patch_brings() -> None:
    got, _ = made(*FITTING["later"], "later", provided=("elsewhere",))
    assert relocation_lines(got.obj, ".rodata.livepatch_data_0_new") == [
        "0 R_X86_64_64 elsewhere + 0"
    ]


ADDED_FUNCTION = "static int added(int x) { return outside(x) * 7; }\n"
ADDED_STRING = '"a string that is new"'

NEW = {
    "a function": (
        "table",
        "const struct ops table = { helper,",
        f"{ADDED_FUNCTION}const struct ops table = {{ added,",
    ),
    "a function in a structure": (
        "driver",
        "static struct driver driver = { { 0 }, { &helper,",
        f"{ADDED_FUNCTION}static struct driver driver = {{ {{ 0 }}, {{ added,",
    ),
    "a variable": (
        "pointer",
        "const int *const pointer = &other_array[1]",
        "static int added[3] = { 1 };\nconst int *const pointer = added",
    ),
}


@pytest.mark.parametrize("case", NEW)
def test_a_pointer_may_lead_to_what_is_new_in_the_live_patch(case: str) -> None:
    name, old, new = NEW[case]
    before, after = side(compile_c(BASE)), side(compile_c(BASE.replace(old, new)))
    changes = compare(before, after, DataRequest([name]))
    output = select_with(changes, Anything())
    ((unit, symbol),) = output.pointed
    assert unit.name == "added"
    assert output.obj.symbols[symbol].name == "added"
    got = contents(changes, "vmlinux", Anything(), 0, {unit: "livepatch_data_0_to_0"})
    (line,) = relocation_lines(got.obj, ".rodata.livepatch_data_0_new")
    assert line.endswith(" R_X86_64_64 livepatch_data_0_to_0 + 0")


def test_a_pointer_may_lead_to_a_new_string() -> None:
    old, new = "later = { outside, 0, 4 }", f"later = {{ outside, {ADDED_STRING}, 4 }}"
    got, _ = made(old, new, "later")
    assert ADDED_STRING.strip('"') in writer.write(got.obj).decode("latin-1")
    said = [str(one) for one in escapes([], new_values([got.obj], {"livepatch_data_0": "later"}))]
    assert said == [f"later points to the string {ADDED_STRING.replace(chr(34), chr(39))}"]


def test_the_object_links() -> None:
    got, _ = made(*FITTING["table"], "table")
    assert re.search(
        r"\bR livepatch_data_0$", tool("nm", data=link(writer.write(got.obj))), re.MULTILINE
    )


@pytest.mark.parametrize(
    ("body", "use"),
    [
        ("return it;", VariableUse.READ),
        ("return it & x;", VariableUse.READ),
        ("it = x; return 0;", VariableUse.STORE),
        ("it++; return 0;", VariableUse.STORE),
        ("return __sync_fetch_and_add(&it, x);", VariableUse.STORE),
        ("return __sync_lock_test_and_set(&it, x);", VariableUse.STORE),
        ("return consume(&it);", VariableUse.ADDRESS),
        ('asm volatile("lea it(%%rip), %0" : "=r"(x)); return x;', VariableUse.ADDRESS),
        ("return ((int (*)(int))it)(x);", VariableUse.READ),
    ],
)
def test_what_code_does_with_a_variable_is_told(body: str, use: VariableUse) -> None:
    seen = view(f"extern int consume(const void *);\nlong it = 3;\nlong f(long x) {{ {body} }}\n")
    found = variable_uses(seen, seen.by_name["it"][0])
    assert {kind: users for kind, users in found.items() if users} == {use: ["f()"]}
