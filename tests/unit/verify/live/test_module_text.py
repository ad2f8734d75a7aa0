# SPDX-License-Identifier: GPL-2.0-or-later
"""A module's file, linked to where the running kernel has it."""

from __future__ import annotations

from pathlib import Path

from suture.verify.live.core_text import CoreText
from suture.verify.live.kcore import Kcore
from suture.verify.live.module_text import ModuleText, section_bases
from tests.live_root import make_root
from tests.unit.toolchain import compile_c, link, read
from tests.unit.verify.kernel import shipped

MOVE = 0x200000
TEXT, DATA = 0xFFFFFFFFC0000000, 0xFFFFFFFFC0400000
OTHERS = 0xFFFFFFFFC0800000

SOURCE = """
int outside(const char *what, int x);
int of_another_module(int x);
static int counter = 3;
int here(int x) { counter += x; return outside("text", counter) + of_another_module(x); }
"""


def module_text(root: Path) -> ModuleText:
    make_root(root, {}, b"", [])
    core = CoreText(shipped(), Kcore(root / "proc/kcore"), MOVE, None, None)
    bases = {".text": TEXT, ".data": DATA, ".rodata.str1.1": DATA + 0x1000}
    others = {("of_another_module", ""): OTHERS}
    module = read(link(compile_c(SOURCE, sections=False)), "mod.ko")
    return ModuleText(module, "mod", core, bases, lambda name, objname: others.get((name, objname)))


def test_calls_lead_to_the_running_addresses(tmp_path: Path) -> None:
    text = module_text(tmp_path)
    core = shipped()
    code = text.shipped(TEXT, 200)
    targets = {one.target for one in core.arch.decoding.branches(code, TEXT)}
    (outside,) = core.addresses("outside")
    assert {outside + MOVE, OTHERS} <= targets


def test_places_of_the_file_have_their_addresses(tmp_path: Path) -> None:
    text = module_text(tmp_path)
    assert text.place(".text", 0x10) == TEXT + 0x10
    assert text.place(".init.text", 0) is None
    assert text.shipped(DATA, 4) == b"\3\0\0\0"
    assert [(name, at) for name, at, _ in text.tables(".data")] == [(".data", DATA)]


def test_the_kernel_says_where_the_sections_are(tmp_path: Path) -> None:
    files = {"/sys/module/udf/sections/.text": b"0xffffffffc0000000\n"}
    make_root(tmp_path, files, b"", [])
    assert section_bases(tmp_path, "udf") == {".text": TEXT}
    assert section_bases(tmp_path, "gone") == {}
