# SPDX-License-Identifier: GPL-2.0-or-later
"""What a live patch is for, in its module's file and in its note."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suture.elf import reader, writer
from suture.model import Fix, LivePatch
from suture.module import fixes, modinfo, notes, staying
from suture.module.inspect import inspect
from tests.unit.module.test_staying import MODULE, SAID
from tests.unit.toolchain import compile_c, tool

FIX = Fix(
    'net: mend "it" für alle',
    "A. Üthor <a@example.org>",
    "2026-11-28T12:00:00+01:00",
    "0123456789abcdef",
    ("CVE-2024-1086",),
    ("https://lore.kernel.org/r/x@y",),
    ('1da177e4c3f4 ("Linux-2.6.12-rc2")',),
)
OTHER = Fix("fs: another")


def test_a_module_says_what_it_is_for_in_its_information_and_in_a_note() -> None:
    patch = LivePatch("livepatch_fix", (), fixes=(FIX, OTHER), stays=SAID.reasons)
    obj = modinfo.with_entries(reader.read(compile_c(MODULE), "fix.ko"), patch)
    data = writer.write(obj)
    read = reader.read(data, "fix.ko")
    assert inspect(read).patch.fixes == (FIX, OTHER)
    assert fixes.parse_note(notes.contents(read)) == (FIX, OTHER)
    assert staying.of_module(read) == SAID
    shown = tool("readelf", "--notes", data=data)
    assert shown.count("Suture") == 2


def test_a_module_that_is_for_nothing_known_has_no_note() -> None:
    patch = LivePatch("livepatch_fix", ())
    obj = modinfo.with_entries(reader.read(compile_c(MODULE), "fix.ko"), patch)
    assert obj.section_named(notes.SECTION) is None
    assert fixes.parse_note(b"") == ()


@given(st.binary(max_size=80))
def test_any_bytes_are_notes_or_none(data: bytes) -> None:
    assert fixes.parse_note(data) == ()
    notes.build_id(data)


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "[",
        "[]",
        "{}",
        '{"title": ""}',
        '{"title": 1}',
        '{"title": "a", "cves": "CVE-2024-1086"}',
        '{"title": "a", "links": [1]}',
        "[" * 100_000,
    ],
)
def test_what_is_in_no_form_of_ours_is_passed_over(entry: str) -> None:
    assert fixes.parse(entry) is None


def test_what_a_later_version_adds_is_passed_over() -> None:
    assert fixes.parse(json.dumps({"title": "a", "severity": "high"})) == Fix("a")


def test_a_description_has_one_line() -> None:
    assert LivePatch("a", ()).description == ""
    assert LivePatch("a", (), fixes=(OTHER,)).description == "fs: another"
    assert LivePatch("a", (), fixes=(OTHER, FIX, FIX)).description == "fs: another; and 2 more"
    long = LivePatch("a", (), fixes=(Fix("word " * 100), FIX)).description
    assert len(long) <= 200
    assert long.endswith("word...; and 1 more")
