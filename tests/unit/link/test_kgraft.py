# SPDX-License-Identifier: GPL-2.0-or-later
"""What an author writes with linux/kgraft.h, in each of its spellings, and what is read of it from
the object."""

from __future__ import annotations

import subprocess
from importlib import resources
from pathlib import Path

import pytest

from suture.elf import reader
from suture.elf.object import ObjectFile
from suture.errors import Refusal
from suture.link import kgraft

KERNEL_HEADERS = ("init", "kernel", "module", "sched", "types")
FEW = """\
#include <stdbool.h>
#include <stddef.h>
#define __used __attribute__((used))
struct module; struct task_struct;
"""
"""What the header wants of the kernel's."""

FUNCTIONS = """\
#include <linux/kgraft.h>
static int __used one(void) { return 1; }
int two(void) { return 2; }
int other(void);
"""
CALL = "int start(void) { return kgr_patch_kernel(&patch); }\n"


@pytest.fixture
def compiled(tmp_path: Path) -> object:
    for name in KERNEL_HEADERS:
        (tmp_path / "linux").mkdir(exist_ok=True)
        (tmp_path / "linux" / f"{name}.h").write_text(
            "#pragma once\n" + (FEW if name == "types" else "")
        )
    ours = resources.files("suture.formats") / "include"

    def made(source: str) -> ObjectFile:
        (tmp_path / "fix.c").write_text(FUNCTIONS + source)
        options = ["-O2", "-std=gnu11", "-fno-pie", f"-I{tmp_path}", f"-I{ours}"]
        subprocess.run(["gcc", *options, "-c", "fix.c"], cwd=tmp_path, check=True)
        return reader.read((tmp_path / "fix.o").read_bytes(), "fix.c")

    return made


def table(compiled: object, entries: str, more: str = "", before: str = "") -> kgraft.KgraftTable:
    assert callable(compiled)
    source = f"{before}\nstatic struct kgr_patch patch = {{ {more} .patches = {{ {entries} }} }};\n{CALL}"
    return kgraft.table({"fix.c": compiled(source)})


def said(found: kgraft.KgraftTable) -> list[tuple[str, str, int, str, bool]]:
    return [
        (one.objname, one.name, one.sympos, one.new.name, one.abort_if_missing)
        for one in found.functions
    ]


def test_later_spellings(compiled: object) -> None:
    entries = (
        "KGR_PATCH(a, one), KGR_PATCH(b, two, true), KGR_PATCH(c, other, false), KGR_PATCH_END"
    )
    found = table(compiled, entries)
    assert said(found) == [
        ("vmlinux", "a", 0, "one", True),
        ("vmlinux", "b", 0, "two", True),
        ("vmlinux", "c", 0, "other", False),
    ]
    assert (found.part, found.replace_all, found.immediate) == ("fix.c", False, False)


def test_objects_and_positions(compiled: object) -> None:
    entries = 'KGR_PATCH_OBJ(a, one, "snd-pcm"), KGR_PATCH_OBJ(b, two, NULL), KGR_PATCH_OBJPOS(c, two, "xfs", 3),'
    found = table(compiled, f"{entries} KGR_PATCH_END", ".replace_all = true, .immediate = true,")
    assert [row[:3] for row in said(found)] == [
        ("snd_pcm", "a", 0),
        ("vmlinux", "b", 0),
        ("xfs", "c", 3),
    ]
    assert found.replace_all
    assert found.immediate


@pytest.mark.parametrize(
    ("declared", "abort"),
    [
        ("KGR_PATCHED_FUNCTION(patch, a, one);", True),
        ("KGR_PATCHED_FUNCTION(a, one);", True),
        ("KGR_PATCHED_FUNCTION(a, one, true);", True),
        ("KGR_PATCHED_FUNCTION(a, one, false);", False),
        ("KGR_PATCHED_FUNCTION(a, one, 1);", True),
        ("KGR_PATCHED_FUNCTION(patch, a, one, 0);", False),
    ],
)
def test_first_spelling(compiled: object, declared: str, abort: bool) -> None:
    found = table(compiled, "KGR_PATCH(a), KGR_PATCH_END", before=declared)
    assert said(found) == [("vmlinux", "a", 0, "one", abort)]


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ("KGR_PATCH(a, one)", "does not end with KGR_PATCH_END"),
        ("KGR_PATCH_END", "names no function"),
        (
            'KGR_PATCH(a, one), { .name = "b", .new_fun = two }, KGR_PATCH_END',
            "not made by KGR_PATCH()",
        ),
        ("KGR_PATCH(a, NULL), KGR_PATCH_END", "not a function of this module"),
        ("KGR_PATCH(a, &patch), KGR_PATCH_END", "not a function of this module"),
    ],
)
def test_table_that_is_not_whole_is_refused(compiled: object, entries: str, found: str) -> None:
    with pytest.raises(Refusal, match="kgraft-table-malformed") as caught:
        table(compiled, entries, before="static struct kgr_patch patch;")
    assert found in caught.value.found


def test_two_tables_or_none_are_refused(compiled: object) -> None:
    assert callable(compiled)
    one = "struct kgr_patch {0} = {{ .patches = {{ KGR_PATCH(a, one), KGR_PATCH_END }} }};\n"
    for source in (one.format("first") + one.format("second"), ""):
        with pytest.raises(Refusal, match="kgraft-table-malformed"):
            kgraft.table({"fix.c": compiled(source)})
