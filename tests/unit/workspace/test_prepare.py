# SPDX-License-Identifier: GPL-2.0-or-later
"""What a killed run left of a workspace goes, also what its make writes after that."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from suture.errors import WORKSPACE_FAILED, Refusal
from suture.host.files import TEMPORARY
from suture.kernel.release import Target
from suture.workspace import compilers, source
from suture.workspace import prepare as prepare_module


def test_what_the_make_of_a_killed_run_writes_meanwhile_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed Suture does not end the make that it started: that one goes on in its directory
    while the next run removes it."""

    def make(_target: object, _compiler: object, ready: Path) -> None:
        left = ready.parent / f"{TEMPORARY}killed/tree/scripts"
        left.mkdir(parents=True)
        (left / "fixdep.o").touch()
        ready.mkdir()
        (ready / "environment").write_text("{}")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compilers, "compiler", lambda *_: SimpleNamespace(identity="gcc"))
    monkeypatch.setattr(source, "identity", lambda _: "tar")
    monkeypatch.setattr(prepare_module, "_make", make)
    file = tmp_path / "file"
    file.touch()
    workspace = prepare_module.prepare(
        Target("6.1.0-toy-amd64", "1", file, file, file, file, file, tmp_path, file)
    )
    assert sorted(path.name for path in workspace.directory.iterdir()) == ["lock", "ready"]


def test_kbuild_that_fails_with_taken_programs_compiles_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "conf"
    program.touch()
    calls: list[object] = []

    def configure(*arguments: object) -> None:
        calls.append(arguments)
        if program.exists():
            raise Refusal(WORKSPACE_FAILED, "6.1.0-toy-amd64", "make exited with status 2")

    monkeypatch.setattr(prepare_module, "_taken_programs", lambda *_: [program])
    monkeypatch.setattr(prepare_module, "_configure_and_prepare", configure)
    run: Any = prepare_module._run_kbuild
    run(None, None, (), tmp_path, tmp_path)
    assert len(calls) == 2
    program.touch()
    with pytest.raises(Refusal, match="workspace-failed"):
        run(None, None, (), tmp_path, None)
