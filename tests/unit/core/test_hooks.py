# SPDX-License-Identifier: GPL-2.0-or-later
"""The administrator's own programs, as they are run; tests/lab/test_core.py loads with them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from suture.core import hooks
from suture.core.hooks import HookEvent, HookResult, run_hooks
from suture.errors import Refusal
from tests.examples import shows


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for /etc/suture/hooks.d."""
    made = tmp_path / "hooks.d"
    made.mkdir(mode=0o755)
    real = run_hooks

    def here(event: HookEvent, facts: dict[str, object]) -> tuple[HookResult, ...]:
        return real(event, facts, made, anchor=tmp_path, owner=os.geteuid())

    monkeypatch.setattr(hooks, "run_hooks", here)
    return made


def program(directory: Path, event: str, name: str, body: str, mode: int = 0o755) -> Path:
    place = directory / event
    place.mkdir(mode=0o755, exist_ok=True)
    path = place / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(mode)
    return path


def test_they_get_the_facts_in_the_order_of_their_names(directory: Path, tmp_path: Path) -> None:
    program(directory, "post-load", "20-second", f"echo second >>{tmp_path}/said")
    program(directory, "post-load", "10-first", f"cat >{tmp_path}/said")
    program(directory, "post-load", "README", "not a program", mode=0o644)
    program(directory, "post-load", "10-first~", "exit 9")
    program(directory, "pre-load", "10-other", "exit 9")
    assert hooks.tell(HookEvent.POST_LOAD, {"patch": "fix", "seconds": 1.5}) == ()
    first, second = (tmp_path / "said").read_text().splitlines()
    assert json.loads(first) == {"event": "post-load", "patch": "fix", "seconds": 1.5}
    assert second == "second"


def test_one_that_is_asked_may_refuse(directory: Path) -> None:
    hooks.ask({"patch": "fix"})
    program(directory, "pre-load", "10-yes", "exit 0")
    program(directory, "pre-load", "20-freeze", "echo no changes on Fridays >&2; exit 3")
    with pytest.raises(Refusal) as refusal:
        hooks.ask({"patch": "fix"})
    shows(refusal.value, "hook-refused")
    assert refusal.value.evidence == ("no changes on Fridays",)


def test_what_goes_wrong_when_they_are_told_is_said(directory: Path) -> None:
    program(directory, "failed", "10-page", "exit 2")
    path = program(directory, "failed", "20-nothing", "")
    path.write_bytes(b"\x7fno program")
    wrong = hooks.tell(HookEvent.FAILED, {})
    assert [line.rpartition("/")[2] for line in wrong] == [
        "10-page exited with status 2",
        "20-nothing exited with status 126",
    ]


def test_one_that_does_not_end_is_ended(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "DEADLINE", 0.2)
    program(directory, "drift", "10-sleeps", "sleep 60")
    (wrong,) = hooks.tell(HookEvent.DRIFT, {})
    assert wrong.endswith("10-sleeps exited with status 124")


def test_one_that_others_could_have_put_there_is_not_run(directory: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    path = program(directory, "pre-load", "20-hook", f"touch {mark}")
    program(directory, "pre-load", "10-before", f"touch {mark}")
    for place, mode in ((path, 0o777), (path.parent, 0o775), (directory, 0o777)):
        before = place.stat().st_mode
        place.chmod(mode)
        with pytest.raises(Refusal) as refusal:
            hooks.ask({})
        assert refusal.value.code == "path-untrusted"
        place.chmod(before)
    link = path.with_name("30-link")
    link.symlink_to(path)
    assert hooks.tell(HookEvent.PRE_LOAD, {})[0].endswith("30-link: is a symbolic link")
    assert not mark.exists()
    link.unlink()
    hooks.ask({})
    assert mark.exists()
