# SPDX-License-Identifier: GPL-2.0-or-later
"""The C that describes a live patch: compiled against the structures' shape, and read back from the
object."""

from __future__ import annotations

import re

import pytest

from suture.errors import Refusal
from suture.link import glue
from suture.link.kbuild import usable_name
from suture.model import VMLINUX, LivePatch, PatchedFunction, PatchedObject
from suture.module.inspect import inspect
from tests.unit.link.module import compiled, structs

PATCH = LivePatch(
    "livepatch_test",
    (
        PatchedObject(
            VMLINUX,
            (
                PatchedFunction("first", 2, "new_first"),
                PatchedFunction("work.isra.0", 0, "new_work"),
            ),
        ),
        PatchedObject("loop", (PatchedFunction("third", 0, "new_third"),)),
    ),
)


def without_kernel(text: str) -> str:
    """The glue with the shapes of the kernel's structures in place of its headers."""
    text = re.sub(r"^#include .*$", "", text, flags=re.MULTILINE)
    macros = """
#define __init
#define __exit
#define module_init(f) int init_module(void) { return f(); }
#define module_exit(f) void cleanup_module(void) { f(); }
#define MODULE_LICENSE(text) MODINFO(info_license, "license=" text)
#define MODULE_INFO(key, text) MODINFO(info_ ## key, #key "=" text)
#define MODULE_DESCRIPTION(text) MODINFO(info_description, "description=" text)
MODINFO(info_vermagic, "vermagic=6.1.0-toy SMP ");
"""
    bodies = "".join(f"void {name}(void) {{}}\n" for name in ("new_first", "new_work", "new_third"))
    return structs() + macros + text + bodies


@pytest.mark.parametrize("replace", [True, False])
def test_what_is_written_is_read_back(replace: bool) -> None:
    patch = LivePatch(PATCH.name, PATCH.objects, replace)
    module = compiled(without_kernel(glue.source(patch, "6.1.0-toy")))
    assert inspect(module).patch == patch


def test_it_declares_itself_a_live_patch_under_the_kernels_license() -> None:
    text = glue.source(PATCH, "6.1.0-toy")
    assert 'MODULE_INFO(livepatch, "Y")' in text
    assert 'MODULE_LICENSE("GPL")' in text
    assert "$" not in text


@pytest.mark.parametrize(
    ("given", "written"),
    [("a", "a"), ("my-fix", "my_fix"), ("x" * 55, "x" * 55), ("9p_fix", "9p_fix")],
)
def test_names_are_written_as_the_kernel_writes_them(given: str, written: str) -> None:
    assert usable_name(given) == written


@pytest.mark.parametrize("given", ["", "x" * 56, "a b", "a/b", "../a", "ä", "a\n", "a.b", "_a"])
def test_names_that_a_module_cannot_have_are_refused(given: str) -> None:
    with pytest.raises(Refusal) as refused:
        usable_name(given)
    assert refused.value.code == "name-unusable"
