# SPDX-License-Identifier: GPL-2.0-or-later
"""What a boot that died is held against, and what the kernel command line says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from suture.core import boot
from suture.core.store import Store, Tries
from suture.errors import Refusal

RELEASE = "6.1.0-toy"
BEFORE, NOW = "an earlier boot", "this boot"


@pytest.mark.parametrize(
    ("tries", "failed"),
    [
        # Of two that were loaded well and one that was being loaded, the last.
        (
            [Tries(boot=BEFORE, good=True), Tries(boot=BEFORE), Tries(boot=BEFORE, loading=True)],
            [0, 0, 1],
        ),
        # All were loaded: the one that no boot has come up with yet.
        (
            [Tries(boot=BEFORE, good=True), Tries(boot=BEFORE), Tries(boot=BEFORE, good=True)],
            [0, 1, 0],
        ),
        # Nothing tells them apart.
        ([Tries(boot=BEFORE, good=True), Tries(1, boot=BEFORE, good=True)], [1, 2]),
        # A boot that is under way, one that was never tried, one that was set aside.
        ([Tries(boot=NOW, loading=True), Tries(), Tries(2, "it died")], [0, 0, 2]),
        ([Tries(1, boot=BEFORE, loading=True), Tries()], [2, 0]),
    ],
)
def test_a_boot_that_died_is_held_against_whom_it_may_have_been(
    tmp_path: Path, tries: list[Tries], failed: list[int]
) -> None:
    store = Store(tmp_path / "suture", anchor=tmp_path, owner=os.geteuid())
    entries = []
    for number, one in enumerate(tries):
        entry = store.install(b"module", RELEASE, f"fix{number}", replaces=False, origin="x")
        store.record(entry, one)
        entries.append(entry)
    assert list(boot._hold_against(store, entries, NOW)) == []
    after = [store.tries(entry) for entry in entries]
    assert [one.failed for one in after] == failed
    assert [one.good for one in after] == [one.good for one in tries]
    assert all(one.boot in ("", NOW) for one in after)
    assert [one.set_aside for one in after] == [count >= 2 for count in failed]


def test_one_that_cannot_be_confirmed_keeps_no_other_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("suture.core.running.release", lambda: RELEASE)
    monkeypatch.setattr("suture.core.running.boot_id", lambda: NOW)
    store = Store(tmp_path / "suture", anchor=tmp_path, owner=os.geteuid())
    first, second = (
        store.install(b"module", RELEASE, name, replaces=False, origin="x")
        for name in ("first", "second")
    )
    for entry in (first, second):
        store.record(entry, Tries(boot=NOW))
    (store.path / RELEASE / "first.boot").write_bytes(b"{")
    with pytest.raises(Refusal) as refusal:
        boot.confirm(store)
    assert refusal.value.code == "store-damaged"
    assert store.tries(second) == Tries(good=True)


@pytest.mark.parametrize(
    ("line", "disabled"),
    [
        ("root=/dev/vda quiet", False),
        ("root=/dev/vda suture.disable=1", True),
        ("suture.disable quiet", True),
        ("suture.disable=0", False),
        ("nosuture.disable=1", False),
    ],
)
def test_the_kernel_command_line_switches_it_off(tmp_path: Path, line: str, disabled: bool) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cmdline").write_text(f"{line}\n")
    assert boot.disabled(tmp_path) is disabled
