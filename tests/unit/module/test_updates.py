# SPDX-License-Identifier: GPL-2.0-or-later
"""What a live patch has of a newer version, in its module's note, and a host's share of it."""

from __future__ import annotations

import json
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suture.core.update_share import UpdateShare, share
from suture.elf import reader, writer
from suture.elf.object import ObjectFile
from suture.model import LivePatch, Update, UpdateFix
from suture.module import modinfo, notes, updates
from suture.module.inspect import inspect
from tests.unit.module.test_fixes import FIX
from tests.unit.module.test_staying import MODULE
from tests.unit.toolchain import compile_c, tool

UPDATE = Update(
    "6.1.176-1",
    "6.1.192-3",
    (
        UpdateFix(("CVE-2026-0001",), ("vmlinux",)),
        UpdateFix(("CVE-2026-0002", "CVE-2026-0003"), ("vmlinux",), "layout-changed"),
        UpdateFix(("CVE-2026-0004",), ("cls_u32", "sch_fq")),
        UpdateFix(("CVE-2026-0005",), ("btrfs",), "left-out"),
    ),
)


@cache
def toy_module() -> ObjectFile:
    return reader.read(compile_c(MODULE), "fix.ko")


def test_a_module_says_what_it_has_of_a_newer_version() -> None:
    patch = LivePatch("livepatch_fixes", (), fixes=(FIX,), update=UPDATE)
    obj = modinfo.with_entries(reader.read(compile_c(MODULE), "fix.ko"), patch)
    data = writer.write(obj)
    read = reader.read(data, "fix.ko")
    assert inspect(read).patch.update == UPDATE
    assert updates.parse_note(notes.contents(read)) == UPDATE
    assert tool("readelf", "--notes", data=data).count("Suture") == 2


def test_the_update_in_one_line() -> None:
    assert str(UPDATE) == (
        "of 6.1.176-1..6.1.192-3 it has 2 CVE fixes, and lacks 3 that may be in code of its kernel"
    )


def test_most_live_patches_are_of_no_version() -> None:
    obj = modinfo.with_entries(reader.read(compile_c(MODULE), "fix.ko"), LivePatch("a", ()))
    assert inspect(obj).patch.update is None
    assert updates.parse_note(b"") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "{}",
        '{"old": "1", "new": "2"}',
        '{"old": "1", "new": "2", "fixes": [1]}',
        '{"old": "1", "new": "2", "fixes": [[["CVE"], ["vmlinux"]]]}',
        "[" * 100_000,
    ],
)
def test_what_is_in_no_form_of_ours_is_passed_over(text: str) -> None:
    obj = toy_module()
    noted = notes.with_note(obj, notes.NT_UPDATE, text.encode())
    assert updates.parse_note(notes.contents(noted)) is None


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=6))
def test_any_fixes_are_read_or_passed_over(value: object) -> None:
    obj = toy_module()
    text = json.dumps({"old": "1", "new": "2", "fixes": [value]})
    found = updates.parse_note(notes.contents(notes.with_note(obj, notes.NT_UPDATE, text.encode())))
    assert found is None or len(found.fixes) == 1


def test_the_share_counts_what_is_in_memory() -> None:
    found = share(UPDATE, {"ext4", "sch_fq"})
    assert found.had == ("CVE-2026-0001", "CVE-2026-0004")
    assert found.lacking == {
        "CVE-2026-0002": "layout-changed",
        "CVE-2026-0003": "layout-changed",
    }
    assert str(found) == (
        "2 of the 4 CVE fixes of 6.1.192-3 that reach this host; 2 need a reboot into 6.1.192-3 or "
        "later"
    )


def test_a_number_of_two_fixes_is_had_with_both() -> None:
    cve = ("CVE-2026-0001",)
    fixes = (UpdateFix(cve, ("vmlinux",)), UpdateFix(cve, ("vmlinux",), "left-out"))
    assert share(Update("1", "2", fixes), set()) == UpdateShare("2", (), {cve[0]: "left-out"})
    had = share(Update("1", "2", fixes[:1]), set())
    assert str(had) == "1 of the 1 CVE fixes of 2 that reach this host"
