# SPDX-License-Identifier: GPL-2.0-or-later
"""Live patch modules that we did not build are read back; whatever is none is refused."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suture.elf import reader
from suture.errors import Refusal
from suture.model import VMLINUX, Callback, CallbackKind, PatchedFunction
from suture.module.inspect import inspect, read_file
from tests.examples import shows
from tests.unit.link.module import compiled, glue
from tests.unit.toolchain import compile_c, link

ONE = """
static int new_show(void) { return 1; }
static struct klp_func funcs[] = { { .old_name = "cmdline_proc_show", .new_func = new_show }, { } };
static struct klp_object objs[] = { { .funcs = funcs }, { } };
"""
MANY = """
static int a(void) { return 1; }
static int b(void) { return 2; }
static int c(void) { return 3; }
static int before(struct klp_object *o) { return o != 0; }
static void after(struct klp_object *o) { o->name = 0; }
static struct klp_func core[] = {
    { .old_name = "first", .new_func = a, .old_sympos = 2 }, { .old_name = "second", .new_func = b }, { }
};
static struct klp_func loop[] = { { .old_name = "third", .new_func = c }, { } };
static struct klp_func tun[] = { { .old_name = "fourth", .new_func = c, .old_sympos = 1 },
    { .old_name = "fifth", .new_func = b }, { .old_name = "sixth", .new_func = a }, { } };
static struct klp_object objs[] = {
    { .funcs = core, .callbacks = { .pre_patch = before, .post_unpatch = after } },
    { .name = "loop", .funcs = loop, .callbacks = { .post_patch = after, .pre_unpatch = after } },
    { .name = "tun", .funcs = tun }, { }
};
"""


def test_one_function_of_the_core_kernel() -> None:
    patch = inspect(compiled(glue(ONE))).patch
    assert patch.name == "livepatch_test"
    assert patch.replace
    assert [obj.name for obj in patch.objects] == [VMLINUX]
    assert patch.objects[0].functions == (PatchedFunction("cmdline_proc_show", 0, "new_show"),)


def test_several_objects_functions_and_callbacks() -> None:
    objects = inspect(compiled(glue(MANY))).patch.objects
    assert [obj.name for obj in objects] == [VMLINUX, "loop", "tun"]
    assert [[(f.old_name, f.sympos, f.new_name) for f in obj.functions] for obj in objects] == [
        [("first", 2, "a"), ("second", 0, "b")],
        [("third", 0, "c")],
        [("fourth", 1, "c"), ("fifth", 0, "b"), ("sixth", 0, "a")],
    ]
    assert objects[0].callbacks == (
        Callback(CallbackKind.PRE_PATCH, "before"),
        Callback(CallbackKind.POST_UNPATCH, "after"),
    )
    assert [callback.kind for callback in objects[1].callbacks] == [
        CallbackKind.POST_PATCH,
        CallbackKind.PRE_UNPATCH,
    ]
    assert not objects[2].callbacks


@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.parametrize(
    ("states", "version"), [(True, "6.1.0-toy"), (True, "5.10.0-8-amd64"), (False, "5.4.0")]
)
def test_whether_it_replaces_others_is_read(replace: bool, states: bool, version: str) -> None:
    module = compiled(glue(ONE, replace=replace, states=states, version=version))
    assert inspect(module).patch.replace == replace
    assert inspect(module).release == version


def test_imports_and_modinfo_are_told() -> None:
    found = inspect(compiled(glue(ONE)))
    assert "klp_enable_patch" in found.imports
    assert ("livepatch", "Y") in found.modinfo


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "livepatch_test.ko"
    path.write_bytes(link(compile_c(glue(ONE), sections=False)))
    assert read_file(path).patch.objects
    with pytest.raises(Refusal) as refused:
        read_file(tmp_path / "missing.ko")
    assert refused.value.code == "file-unreadable"


@pytest.mark.parametrize(
    "source",
    [
        "int init_module(void) { return 0; }",
        glue(ONE, info="license=GPL"),
        glue(ONE).replace(".mod = THIS_MODULE,", ""),
        glue(ONE.replace(".funcs = funcs", ".name = 0")),
        glue(ONE.replace(".new_func = new_show", ".new_func = 0")),
    ],
)
def test_a_module_that_is_no_live_patch_is_refused(source: str) -> None:
    with pytest.raises(Refusal, match="not-a-live-patch"):
        inspect(compiled(source))


def test_a_live_patch_without_tables_is_refused_as_shown() -> None:
    with pytest.raises(Refusal) as refused:
        inspect(compiled(glue(ONE).replace(".mod = THIS_MODULE,", "")))
    shows(refused.value, "not-a-live-patch")


GOOD = link(compile_c(glue(MANY), sections=False))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=4)
)
def test_changed_bytes_end_in_a_refusal_or_do_no_harm(edits: list[tuple[int, int]]) -> None:
    data = bytearray(GOOD)
    for place, value in edits:
        data[place] = value
    with contextlib.suppress(Refusal):
        inspect(reader.read(bytes(data), "bad.ko"))
