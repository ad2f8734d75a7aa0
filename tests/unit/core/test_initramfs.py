# SPDX-License-Identifier: GPL-2.0-or-later
"""What the hook puts into an initramfs, and what it leaves out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from suture.core import initramfs
from suture.core.initramfs.fill import fill
from suture.core.initramfs.initramfs_tools import HOOK_TEXT, SCRIPT_TEXT, InitramfsTools
from suture.core.store import Store, Tries
from suture.errors import Refusal
from suture.lab.initramfs import BUSYBOX
from tests.examples import shows

RELEASE = "6.1.0-toy"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "suture", anchor=tmp_path, owner=os.geteuid())
    for name in ("first", "second", "untried", "off", "failing", "damaged"):
        entry = made.install(
            name.encode(), RELEASE, name, replaces=True, origin="x", enabled=name != "off"
        )
        made.record(entry, Tries(failed=int(name == "failing"), good=name != "untried"))
    (made.path / RELEASE / made.entry(RELEASE, "damaged").module_file).write_bytes(b"other")
    return made


def test_what_a_boot_came_up_with_is_taken_along_in_order(store: Store, tmp_path: Path) -> None:
    said = list(fill(RELEASE, tmp_path / "image", store))
    taken = sorted((tmp_path / "image/usr/lib/suture").iterdir())
    assert [(path.name, path.read_bytes()) for path in taken] == [
        ("0000-first.ko", b"first"),
        ("0001-second.ko", b"second"),
    ]
    assert [line.partition(":")[0] for line in said] == [
        "untried",
        "failing",
        "error[store-damaged]",
    ]
    assert list(fill("6.12.0-toy", tmp_path / "none", store)) == []


@pytest.mark.parametrize("text", [HOOK_TEXT, SCRIPT_TEXT])
def test_the_hooks_are_shell_scripts_that_answer_for_their_order(text: str) -> None:
    asked = subprocess.run(
        [BUSYBOX, "sh", "-s", "prereqs"], input=text, capture_output=True, text=True, check=True
    )
    assert (asked.stdout, asked.stderr) == ("", "")


def test_a_host_without_the_tools_is_told(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refusal:
        InitramfsTools(Path("/nowhere")).enable()
    shows(refusal.value, "initramfs-tools-missing")


def test_the_program_that_the_hook_runs_takes_a_release_and_a_directory(tmp_path: Path) -> None:
    assert "{start} suture.core.initramfs " in HOOK_TEXT
    image = tmp_path / "image"
    command = [sys.executable, "-m", "suture.core.initramfs", RELEASE, str(image)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(command, env=environment, check=True)
    assert list((tmp_path / "image/usr/lib/suture").iterdir()) == []


def test_a_host_that_never_had_the_hook_can_be_without_it(tmp_path: Path) -> None:
    assert InitramfsTools(tmp_path).is_here()
    InitramfsTools(Path("/nowhere")).disable()


def test_a_host_without_any_program_has_one_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = InitramfsTools(Path("/nowhere"))
    monkeypatch.setattr(initramfs, "MAKERS", (absent,))
    assert initramfs.maker() is absent
