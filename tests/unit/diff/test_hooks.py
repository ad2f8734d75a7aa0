# SPDX-License-Identifier: GPL-2.0-or-later
"""What a patch says about itself in sections of the patched object."""

from __future__ import annotations

import pytest

from suture.diff.plan import FilePlan
from suture.errors import Refusal
from suture.model import CallbackKind
from tests.examples import shows
from tests.unit.toolchain import changed_names, changes, output, symbol_lines

BASE = r"""
#define TELL(tag, place, what) \
    static void *const tag __attribute__((section(place), used, no_reorder)) = (void *)(what);
#define AT_BOOT __attribute__((section(".init.text")))
extern int outside(const char *, int);
extern int limit;
int work(int x) { return outside("work", x) * 3; }
int other(int x) { return outside("other", x) * 7; }
static const int table[4] = { 1, 2, 3, 4 };
int look(int x) { return outside("look", table[x & 3]); }
"""
MENDED = BASE.replace("* 3", "* 5")
CALLBACKS = """
static int get_ready(void *obj) { limit = 3; return 0; }
static void clear_up(void *obj) { limit = 4; }
TELL(a, ".kpatch.callbacks.post_unpatch", clear_up)
TELL(b, ".kpatch.callbacks.pre_patch", get_ready)
"""


def refusal(text: str) -> Refusal:
    with pytest.raises(Refusal) as refused:
        changes(BASE, text)
    return refused.value


def test_functions_to_call_come_along_with_the_moment_to_call_them() -> None:
    out = output(BASE, MENDED + CALLBACKS)
    called = [(call.stage.kind, out.obj.symbols[call.symbol].name) for call in out.calls]
    assert called == [
        (CallbackKind.PRE_PATCH, "get_ready"),
        (CallbackKind.POST_UNPATCH, "clear_up"),
    ]
    assert {"work", "get_ready", "clear_up"} <= set(symbol_lines(out.obj))
    assert not [section.name for section in out.obj.sections if "kpatch" in section.name]


def test_functions_to_call_are_enough() -> None:
    found = changes(BASE, BASE + CALLBACKS)
    assert changed_names(found) == set()
    assert FilePlan.of(found).needs_code


def test_entries_as_kpatchs_own_tools_leave_them() -> None:
    """``struct kpatch_patch_hook``: the function, and the object's name as a string."""
    text = """
static void on_load(void) { limit = 9; }
static struct { void (*hook)(void); const char *objname; } entries[]
    __attribute__((section(".kpatch.hooks.load"), used)) = { { on_load, "vmlinux" } };
"""
    (call,) = changes(BASE, BASE + text).hooks.calls
    assert call.function.name == "on_load"
    assert call.stage.was_stopped


def test_what_the_patch_says_to_look_away_from_is_left_out_and_told() -> None:
    text = MENDED.replace("* 7", "* 8").replace("{ 1, 2,", "{ 1, 5,")
    ignoring = """
TELL(a, ".kpatch.ignore.functions", other)
TELL(b, ".kpatch.ignore.sections", ".rodata.table")
"""
    found = changes(BASE, text + ignoring)
    assert changed_names(found) == {"work"}
    assert {(part.what, part.section) for part in found.left_out} == {
        ("the changed function other()", ".text.other"),
        ("the changed variable table", ".rodata.table"),
    }


def test_a_section_that_would_be_refused_can_be_looked_away_from() -> None:
    entry = 'static int neu __attribute__((section("__tracepoints"), used)) = 1;\n'
    with pytest.raises(Refusal):
        changes(BASE, MENDED + entry)
    found = changes(BASE, MENDED + entry + 'TELL(a, ".kpatch.ignore.sections", "__tracepoints")')
    assert [part.section for part in found.left_out] == ["__tracepoints"]


@pytest.mark.parametrize(
    ("text", "what", "why"),
    [
        ('TELL(a, ".kpatch.force", work)', "work()", "whole live patch"),
        (
            'static void f(void) { } TELL(a, ".ksplice_call_fail_reverse", f)',
            "f()",
            "does not fail",
        ),
        ('TELL(a, ".ksplice_options", &table)', "a hint", "compared with the shipped kernel"),
    ],
)
def test_what_has_no_meaning_any_more_is_told(text: str, what: str, why: str) -> None:
    found = changes(BASE, MENDED + text)
    (part,) = found.left_out
    assert part.what == what
    assert why in part.reason.core
    assert not found.hooks.calls


@pytest.mark.parametrize(
    ("text", "code", "found"),
    [
        (
            CALLBACKS
            + 'static int twice(void *o) { return 1; } TELL(c, ".kpatch.callbacks.pre_patch", twice)',
            "callback-duplicate",
            "get_ready() and twice()",
        ),
        (
            'static AT_BOOT void f(void) { limit = 1; } TELL(a, ".kpatch.hooks.load", f)',
            "callback-unusable",
            "f() of .kpatch.hooks.load is in .init.text",
        ),
        (
            'TELL(a, ".kpatch.hooks.load", &limit)',
            "callback-unusable",
            "something other than functions",
        ),
        (
            'TELL(a, ".kpatch.hooks.load", outside)',
            "callback-unusable",
            "something other than functions",
        ),
        (
            'TELL(a, ".kpatch.hooks.load", (char *)work + 4)',
            "callback-unusable",
            "something other than functions",
        ),
        (
            'TELL(a, ".kpatch.callbacks.later", work)',
            "callback-unusable",
            "reads a section .kpatch.callbacks.later",
        ),
        (
            'TELL(a, ".kpatch.ignore.sections", ".data.nowhere")',
            "ignored-not-found",
            "has no section .data.nowhere",
        ),
        (
            'TELL(a, ".kpatch.ignore.sections", &limit)',
            "callback-unusable",
            "something other than strings",
        ),
        (
            'TELL(a, ".ksplice_call_pre_reverse", work)',
            "reversal-veto",
            "work() is in .ksplice_call_pre_reverse",
        ),
        (
            'TELL(a, ".ksplice_call_check_reverse", work)',
            "reversal-veto",
            "work() is in .ksplice_call_check_reverse",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, code: str, found: str) -> None:
    refused = refusal(MENDED + text)
    assert refused.code == code
    assert found in refused.found


def test_the_examples_are_what_is_printed() -> None:
    twice = 'static int twice(void *o) { return 1; } TELL(c, ".kpatch.callbacks.pre_patch", twice)'
    shows(refusal(MENDED + CALLBACKS + twice), "callback-duplicate")
    shows(refusal(MENDED + 'TELL(a, ".kpatch.callbacks.later", work)'), "callback-unusable")
    shows(
        refusal(MENDED + 'TELL(a, ".kpatch.ignore.sections", ".data.nowhere")'), "ignored-not-found"
    )
    shows(refusal(MENDED + 'TELL(a, ".ksplice_call_pre_reverse", work)'), "reversal-veto")
