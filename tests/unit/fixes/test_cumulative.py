# SPDX-License-Identifier: GPL-2.0-or-later
"""What becomes of a cumulative live patch when the whole is refused; `tests.compile.test_fixes_build`
builds real ones."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from suture.errors import DISK_FULL, LAYOUT_CHANGED, Kind, Refusal
from suture.fixes import cumulative
from suture.fixes.chosen import ChosenFiles
from suture.fixes.cumulative import build_fixes
from suture.fixes.groups import FileGroup
from suture.fixes.listing import FixList
from suture.fixes.trials import GroupVerdict

TARGET: Any = SimpleNamespace(release="6.1.0-50-amd64")
FOUND = FixList("6.1.0-50-amd64", "1-1", "2-1")
CHOSEN = ChosenFiles(frozenset({"a.c", "b.c", "c.c"}), frozenset())
VERDICTS = [
    GroupVerdict(FileGroup(("a.c",))),
    GroupVerdict(FileGroup(("b.c",))),
    GroupVerdict(FileGroup(("c.c",), ("b.c",))),
]


@pytest.fixture(autouse=True)
def tried(monkeypatch: pytest.MonkeyPatch) -> None:
    grouped = SimpleNamespace(groups=(), diffs={}, declarations=None)
    monkeypatch.setattr(cumulative, "prepare", lambda target: None)
    monkeypatch.setattr(cumulative, "grouping", lambda workspace, found: grouped)
    monkeypatch.setattr(cumulative, "try_groups", lambda *given: VERDICTS)


def refuse_beside(monkeypatch: pytest.MonkeyPatch, kind: Kind) -> list[list[str]]:
    """Refuse b.c for as long as it is there; return the groups of each attempt."""
    attempts: list[list[str]] = []

    def build(target: Any, found: Any, diffs: Any, live: list[GroupVerdict], *rest: Any) -> str:
        attempts.append([one.group.name for one in live])
        if "b.c" in attempts[-1]:
            raise Refusal(kind, "b.c:7", "it is so")
        return "built"

    monkeypatch.setattr(cumulative, "_build", build)
    return attempts


def test_what_is_refused_beside_others_goes_with_those_that_need_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts = refuse_beside(monkeypatch, LAYOUT_CHANGED)
    built = build_fixes(TARGET, FOUND, CHOSEN)
    assert attempts == [["a.c", "b.c", "c.c"], ["a.c"]]
    assert [one.code for one in built.verdicts] == ["", LAYOUT_CHANGED.code, LAYOUT_CHANGED.code]


def test_what_the_host_refuses_takes_no_group_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler names its source also where the disk is full."""
    attempts = refuse_beside(monkeypatch, DISK_FULL)
    with pytest.raises(Refusal) as refused:
        build_fixes(TARGET, FOUND, CHOSEN)
    assert refused.value.kind is DISK_FULL
    assert len(attempts) == 1


def test_nothing_newer_is_on_offer() -> None:
    with pytest.raises(Refusal, match="no newer source than 1-1 is on offer") as refused:
        build_fixes(TARGET, FixList("6.1.0-50-amd64", "1-1", "1-1"), CHOSEN)
    assert refused.value.code == "no-fix-can-be-live"
