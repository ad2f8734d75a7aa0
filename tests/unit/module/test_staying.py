# SPDX-License-Identifier: GPL-2.0-or-later
"""The note of a live patch that stays in memory, and its module under another name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suture.elf import reader, writer
from suture.errors import Refusal
from suture.module import modinfo, staying
from suture.module.inspect import inspect
from suture.module.renaming import renamed
from suture.module.staying import NAME_SIZE, Staying, numbered, parse, with_note
from tests.unit.toolchain import compile_c, tool

MODULE = r"""
struct klp_func { const char *old_name; void *new_func; unsigned long sympos; };
struct klp_object { const char *name; struct klp_func *funcs; void *callbacks[4]; long more[8]; };
struct module { int state; void *next, *prev; char name[56]; long more[8]; };
struct klp_patch { struct module *mod; struct klp_object *objs; void *states; _Bool replace; };
__attribute__((section(".gnu.linkonce.this_module"))) struct module __this_module
    = { .name = "livepatch_fix" };
static const char info[] __attribute__((section(".modinfo"), used, aligned(1)))
    = "license=GPL\0livepatch=Y\0name=livepatch_fix\0vermagic=6.1.0-9-amd64 SMP";
extern int klp_enable_patch(struct klp_patch *);
static int new_show(void) { return 1; }
static struct klp_func funcs[] = { { "show", new_show }, { } };
static struct klp_object objs[] = { { .funcs = funcs }, { } };
static struct klp_patch patch = { &__this_module, objs };
int init_module(void) { return klp_enable_patch(&patch); }
"""

SAID = Staying("livepatch_fix", ("show() passes later() to call_rcu()", "a() stores b"))


def test_a_note_says_why_and_under_which_name() -> None:
    obj = reader.read(compile_c(MODULE), "fix.ko")
    marked = writer.write(with_note(obj, SAID))
    assert staying.of_module(reader.read(marked, "fix.ko")) == SAID
    assert staying.of_module(obj) is None
    assert "Suture" in tool("readelf", "--notes", data=marked)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_note_or_none(data: bytes) -> None:
    assert parse(data) is None


def test_a_module_under_another_name_is_else_the_same() -> None:
    data = compile_c(MODULE)
    other = renamed(data, "fix.ko", "livepatch_fix_2")
    before, after = (reader.read(module, "fix.ko") for module in (data, other))
    assert inspect(after).patch.name == "livepatch_fix_2"
    assert dict(modinfo.entries(after)) == dict(modinfo.entries(before)) | {
        "name": "livepatch_fix_2"
    }
    changed = [
        one.name
        for one, two in zip(before.sections, after.sections, strict=True)
        if one.data != two.data
    ]
    assert sorted(changed) == [".gnu.linkonce.this_module", ".modinfo"]
    assert (before.symbols, before.relocations) == (after.symbols, after.relocations)
    shown = tool("readelf", "-p", ".gnu.linkonce.this_module", data=other)
    assert "livepatch_fix_2" in shown
    assert "livepatch_fix_2" in tool("readelf", "-p", ".modinfo", data=other)
    assert renamed(other, "fix.ko", "livepatch_fix") != data
    assert inspect(reader.read(renamed(other, "a.ko", "x"), "a.ko")).patch.name == "x"


def test_a_module_without_its_name_in_it_is_refused() -> None:
    without = compile_c(MODULE.replace('.name = "livepatch_fix"', '.name = "other"'))
    with pytest.raises(Refusal, match="does not hold the name 'livepatch_fix' once"):
        renamed(without, "fix.ko", "livepatch_fix_2")
    nameless = compile_c(MODULE.replace("name=livepatch_fix", "nome=livepatch_fix"))
    with pytest.raises(Refusal, match="has 0 names"):
        renamed(nameless, "fix.ko", "livepatch_fix_2")


def test_a_name_with_a_number_fits_into_the_kernel() -> None:
    assert numbered("livepatch_fix", 2) == "livepatch_fix_2"
    longest = numbered("a" * (NAME_SIZE - 1), 12)
    assert len(longest) == NAME_SIZE - 1
    assert longest.endswith("a_12")
