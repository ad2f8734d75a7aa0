# SPDX-License-Identifier: GPL-2.0-or-later
"""The examples of docs/api.md, run as they stand; tests/lab/test_core.py runs the one for a
host."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import suture
from suture.kernel.release import Target
from tests.lab.test_readme import EXAMPLE, files

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"


def examples() -> list[str]:
    """The page's Python blocks."""
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_the_examples_run_as_they_stand(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in files():
        file.write(tmp_path)
    names: dict[str, object] = {}
    *building, on_a_host = examples()
    assert "suture.load(" in on_a_host
    for example in building:
        exec(compile(example.replace(EXAMPLE, target.release), str(PAGE), "exec"), names)
    artifact = names["artifact"]
    assert isinstance(artifact, suture.Artifact)
    assert Path("livepatch_version.ko").read_bytes().startswith(artifact.data)
