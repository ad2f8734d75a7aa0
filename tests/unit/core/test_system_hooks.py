# SPDX-License-Identifier: GPL-2.0-or-later
"""Files for other programs of the host, as these read them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import suture
from suture.core import system_hooks, units
from suture.core.system_hooks import HOOKS


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host's directory that has a place for each file."""
    monkeypatch.setattr(units, "check_code", lambda: None)
    made = tmp_path / "etc"
    for hook in HOOKS:
        (made / hook.path).parent.mkdir(parents=True, mode=0o755, exist_ok=True)
    return made


def enable(etc: Path) -> tuple[str, ...]:
    return system_hooks.enable(etc, os.geteuid())


def test_they_are_written_once_and_removed(etc: Path) -> None:
    paths = tuple(str(etc / hook.path) for hook in HOOKS)
    assert enable(etc) == paths
    assert enable(etc) == ()
    assert system_hooks.disable(etc, os.geteuid()) == paths
    assert system_hooks.disable(etc, os.geteuid()) == ()


def test_a_program_that_is_not_there_gets_no_file(tmp_path: Path, etc: Path) -> None:
    (tmp_path / "none").mkdir()
    assert enable(tmp_path / "none") == ()
    assert list((tmp_path / "none").iterdir()) == []


def test_run_parts_takes_the_programs(etc: Path) -> None:
    """run-parts(8) passes over names with other characters, and over what is not executable."""
    enable(etc)
    for hook in HOOKS:
        if hook.mode == 0o755:
            place = etc / hook.path
            listed = ["run-parts", "--test", str(place.parent)]
            found = subprocess.run(listed, capture_output=True, text=True, check=True).stdout
            assert found.split() == [str(place)]


def test_shells_understand_them_and_python_is_named_by_its_path(etc: Path) -> None:
    enable(etc)
    for hook in HOOKS:
        text = (etc / hook.path).read_text()
        assert "{{" not in text
        if text.startswith("#!/bin/sh"):
            assert f"{sys.executable} -I -m suture.core." in text
            subprocess.run(["sh", "-n", etc / hook.path], check=True)


@pytest.mark.parametrize("gone", ["python", "code"])
def test_nothing_is_said_once_suture_is_gone(
    gone: str, etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if gone == "python":
        monkeypatch.setattr(sys, "executable", "/nonexistent/python3")
    else:
        monkeypatch.setattr(suture, "__file__", "/nonexistent/suture/__init__.py")
    enable(etc)
    for hook in HOOKS:
        if hook.mode == 0o755:
            done = subprocess.run([etc / hook.path, "6.1.0-toy"], capture_output=True, check=True)
            assert (done.stdout, done.stderr) == (b"", b"")


def test_a_kernel_is_installed_though_suture_cannot_start(etc: Path) -> None:
    enable(etc)
    hook = etc / "kernel/postinst.d/zz-suture"
    text = hook.read_text().replace("[ -d /var/lib/suture ] &&", "")
    hook.write_text(text.replace("suture.core.upgrade", "no.such.module"))
    done = subprocess.run([hook, "6.1.0-toy"], capture_output=True, text=True, check=True)
    told = "suture: what becomes of live patches with 6.1.0-toy is not known\n"
    assert done.stdout == told


def test_a_login_is_told(etc: Path) -> None:
    """The state of this host, whatever it is, in one line at most, and never a failure."""
    enable(etc)
    hook = etc / "update-motd.d/60-suture"
    hook.write_text(hook.read_text().replace(" -I ", " "))  # this Suture, installed or not
    environment = {**os.environ, "PYTHONPATH": str(Path(suture.__file__).parents[1])}
    done = subprocess.run([hook], capture_output=True, text=True, check=True, env=environment)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) <= 1
