# SPDX-License-Identifier: GPL-2.0-or-later
"""What damaged files have ended in once, each for itself; and damaged files through the command
line."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import pytest

from suture.cli.app import main
from suture.core import probes
from suture.elf import reader, writer
from suture.elf.object import ObjectFile, Relocation, Section, Symbol
from suture.errors import INTERNAL_ERROR, Refusal
from suture.formats import diff
from suture.kernel import modules
from suture.module.inspect import inspect
from suture.objects.view import View
from suture.workspace import includes
from tests.unit.fuzz.subjects import live_patches
from tests.unit.link.module import compiled, glue
from tests.unit.module.test_inspect import ONE
from tests.unit.toolchain import MACHINE, tool


def test_a_hunk_with_a_number_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        diff.parse("a.patch", b"--- a/fs/x.c\n+++ b/fs/x.c\n@@ -1," + b"9" * 5000 + b" +1 @@\n a\n")
    assert refused.value.code == "not-a-patch"


@pytest.mark.parametrize("mark", ["\x0c", "\x1c", "\x85", "\u2028"], ids=repr)
def test_a_line_ends_with_a_line_feed_alone(mark: str) -> None:
    text = f"--- a/fs/x.c\n+++ b/fs/x.c\n@@ -1,3 +1,3 @@\n a{mark}b\n-c\n+d\n e\n"
    (change,) = diff.parse("a.patch", text.encode()).changes
    assert change.hunks == (diff.Hunk(1, 3, 1, 3),)


@pytest.mark.parametrize("version", ["6.²", "٦.1", "6." + "9" * 5000, "..", "-"])
def test_a_release_that_is_none_does_not_keep_a_module_from_being_read(version: str) -> None:
    assert inspect(compiled(glue(ONE, version=version))).patch.objects


def test_an_include_line_with_a_name_that_is_too_long_names_no_file(tmp_path: Path) -> None:
    lines = includes.of_text("fs/x.c", b'#include "' + b"9" * 5000 + b'/b.h"\n')
    assert includes.users(tmp_path, lines, ["fs/b.h"]) == frozenset()


def test_lines_of_a_profile_that_are_none_are_left_out() -> None:
    assert probes.profile("f0 2 livepatch_sample\nf1 ² 1\nf2 4 1\n") == {"f2": 5}


def test_an_addend_is_modulo_two_to_the_64() -> None:
    sections = (Section("", 0, 0, b"", 0), Section(".data", 1, 3, bytes(8), 8, 8))
    symbols = (Symbol("", 0, 0, 0, 0, 0), Symbol("x", 0, 8, 1, 1, 1))
    data = writer.write(
        ObjectFile(
            "a.o", sections, symbols, {1: (Relocation(0, 1, 1, 2**64 - 8),)}, machine=MACHINE
        )
    )
    assert re.search(r"R_X86_64_64\s+0+ x - 8\b", tool("readelf", "-rW", data=data))


def test_a_section_of_very_wide_constants_is_taken_as_a_whole() -> None:
    wide = Section(".rodata.cst", 1, 0x12, bytes(64), 64, 1, entsize=1 << 62)
    text = Section(".data.p", 1, 3, bytes(8), 8, 8)
    symbols = (Symbol("", 0, 0, 0, 0, 0), Symbol("", 0, 0, 3, 0, 1), Symbol("p", 0, 8, 1, 1, 2))
    sections = (Section("", 0, 0, b"", 0), wide, text)
    obj = ObjectFile("a.o", sections, symbols, {2: (Relocation(0, 1, 1, 8),)}, machine=MACHINE)
    view = View(reader.read(writer.write(obj), "a.o"))
    (unit,) = view.by_name["p"]
    (reference,) = view.references(unit)
    assert type(reference.target).__name__ == "ToAnonymous"


def test_a_window_larger_than_any_kernels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ko.zst"
    path.write_bytes(
        b"\x28\xb5\x2f\xfd\x00\xa8" + struct.pack("<I", 1)[:3]
    )  # 2 GiB, and an empty last block
    with pytest.raises(Refusal) as refused:
        modules.read(path)
    assert refused.value.code == "module-malformed"


def test_debug_information_alone_is_refused_by_name() -> None:
    sections = (Section("", 0, 0, b"", 0), Section(".text", 8, 6, b"", 16, 16))
    symbols = (Symbol("", 0, 0, 0, 0, 0), Symbol("f", 0, 16, 2, 1, 1))
    with pytest.raises(Refusal, match=r"has no code for f\(\)"):
        reader.read(
            writer.write(ObjectFile("a.o", sections, symbols, {}, machine=MACHINE)), "a.ko.debug"
        )


GARBAGE = (
    b"",
    b"\x00" * 4096,
    b"\x7fELF" + b"\xff" * 4096,
    bytes(range(256)) * 40,
    b"#!/bin/sh\nexit\n",
    b"@@ -1 +1 @@\n",
)


@pytest.mark.parametrize(
    "words", [("inspect", "FILE"), ("build", "FILE", "--kernel-dir", "."), ("build", "x", "FILE")]
)
def test_garbage_on_the_command_line_is_refused_with_a_code(
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    good = live_patches()[0]
    for content in (*GARBAGE, good[:-1], good[: len(good) // 2]):
        (tmp_path / "FILE").write_bytes(content)
        assert main([*words, "--json"]) == 1
        error = json.loads(capsys.readouterr().out)["error"]
        assert error["code"] != INTERNAL_ERROR.code
        assert error["remedy"]
