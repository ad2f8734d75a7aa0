# SPDX-License-Identifier: GPL-2.0-or-later
"""What a killed run left of a workspace goes, also what its make writes after that."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

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
