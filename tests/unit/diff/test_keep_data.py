# SPDX-License-Identifier: GPL-2.0-or-later
"""Variables that stay as they are although the patch changes their initial value, because the
author says so."""

from __future__ import annotations

import pytest

from suture.diff.changes import Changes, compare
from suture.diff.data import DataRequest
from suture.errors import Refusal
from tests.examples import shows
from tests.unit.toolchain import (
    Anything,
    changed_names,
    compile_c,
    relocation_lines,
    section_lines,
    select_with,
    side,
)

BASE = r"""
struct lock { long owner; void *waiters[2]; };
struct id { int vendor, product; };
struct driver { const struct id *ids; long list[2]; };
extern int outside(int), take(struct lock *), consume(const void *), register_driver(struct driver *);
static struct lock lock;
static const struct id ids[3] = { { 1, 2 }, { 3, 4 } };
static const int limits[2] = { 5, 6 };
static struct driver driver = { ids };
static int mode = 7;
__attribute__((section(".init.text"))) int setup(void)
{ lock.waiters[0] = lock.waiters; return register_driver(&driver); }
int mode_store(int x) { return mode = x; }
int work(int x) { return take(&lock) + outside(x) + mode; }
int bounded(int x) { return limits[x] + outside(x); }
"""
WORK = ("outside(x) + mode", "outside(x + 1) + mode")
BOUNDED = ("limits[x] + outside(x)", "limits[x] + outside(x + 1)")
DEFINED = ("struct lock lock;", "struct lock lock = { 0, { lock.waiters, lock.waiters } };")
GROWN = ("ids[3] = { { 1, 2 }, { 3, 4 } }", "ids[4] = { { 1, 2 }, { 3, 4 }, { 5, 6 } }")


def compared(*edits: tuple[str, str], keep: str = "") -> Changes:
    text = BASE
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return compare(
        side(compile_c(BASE)), side(compile_c(text)), DataRequest(keep=(keep,) if keep else ())
    )


def refusal(*edits: tuple[str, str], keep: str = "") -> Refusal:
    with pytest.raises(Refusal) as refused:
        compared(*edits, keep=keep)
    return refused.value


FITTING = {
    "a mutex that its definition initialises now": ("lock", (WORK, DEFINED)),
    "a constant that no changed code uses": ("limits", (WORK, ("{ 5, 6 }", "{ 5, 60 }"))),
}


@pytest.mark.parametrize("case", FITTING)
def test_what_the_author_says_is_right_stays_and_is_told(case: str) -> None:
    name, edits = FITTING[case]
    unasked = refusal(*edits)
    assert unasked.code == "data-changed"
    assert f"--keep-data {name}" in unasked.remedy
    found = compared(*edits, keep=name)
    assert "work" in changed_names(found)
    assert found.data == ()
    assert [unit.name for unit in found.kept_values] == [name]
    (part,) = [part for part in found.left_out if "initial value" in part.what]
    assert part.what == f"the changed initial value of {name}"


def test_changed_code_uses_the_one_that_is_there() -> None:
    out = select_with(compared(WORK, DEFINED, keep="lock"), Anything())
    assert any("kernel_lock" in line for line in relocation_lines(out.obj, ".text.work"))
    assert not any(name.endswith(".lock") for name, *_ in section_lines(out.obj))


UNFIT = {
    "a table that grows, which no changed code uses": ("ids", (WORK, GROWN), "changes its size"),
    "a number that had a value": ("mode", (WORK, ("mode = 7", "mode = 8")), "had an initial value at +0x0"),
    "a constant that changed code uses": ("limits", (BOUNDED, ("{ 5, 6 }", "{ 5, 60 }")), "is constant"),
    "a table of another size that changed code uses": (
        "limits",
        (BOUNDED, ("limits[2] = { 5, 6 }", "limits[3] = { 5, 6, 7 }")),
        "changes its size from 8 to 12 bytes",
    ),
    "what a new function uses": (
        "limits",
        (
            ("int work(int x) { return", "static __attribute__((noinline)) int added(int x) { return limits[x] * 3; }\n"
             "int work(int x) { return added(x) +"),
            ("{ 5, 6 }", "{ 5, 60 }"),
        ),
        "is constant",
    ),
    "what becomes constant": (
        "lock",
        (("static struct lock lock;", "static const struct lock lock;"),
         ("{ lock.waiters[0] = lock.waiters; return", "{ return"), ("take(&lock)", "consume(&lock) + x")),
        "moves from .bss.lock to .rodata",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNFIT)
def test_what_cannot_be_meant_is_refused_with_the_reason(case: str) -> None:
    name, edits, reason = UNFIT[case]
    asked = refusal(*edits, keep=name)
    assert asked.code == "data-unkeepable"
    assert reason in asked.found
    unasked = refusal(*edits)
    assert unasked.code == "data-changed"
    assert any(reason in line for line in unasked.evidence)
    assert "--keep-data" not in unasked.remedy


def test_one_of_them_is_on_the_page() -> None:
    name, edits, _ = UNFIT["a constant that changed code uses"]
    shows(refusal(*edits, keep=name), "data-unkeepable")
