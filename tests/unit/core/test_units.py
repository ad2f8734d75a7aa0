# SPDX-License-Identifier: GPL-2.0-or-later
"""The units by which boots load what is kept, as systemd itself reads them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import suture
from suture.core import units
from suture.errors import Refusal
from suture.host import deployment
from tests.examples import shows


@pytest.mark.parametrize("text", [units.BOOT_UNIT, units.CONFIRM_UNIT])
def test_python_is_started_by_its_whole_path_and_looks_at_no_variable(text: str) -> None:
    line = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    assert deployment.this().fill(line).startswith(f"ExecStart={sys.executable} -I -m suture.")


@pytest.mark.parametrize("which", ["python", "suture"])
def test_code_that_others_can_write_is_not_for_boots(
    which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "lib" / "suture"
    place.mkdir(parents=True)
    place.chmod(0o777)
    if which == "python":
        monkeypatch.setattr(sys, "executable", str(place / "python3"))
    else:
        monkeypatch.setattr(suture, "__file__", str(place / "__init__.py"))
    with pytest.raises(Refusal) as refusal:
        units.check_code()
    assert refusal.value.code == "path-untrusted"


def test_a_host_without_systemd_is_told_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "SYSTEMD_RUNS", tmp_path / "nowhere")
    with pytest.raises(Refusal) as refusal:
        units.ensure()
    shows(refusal.value, "systemd-missing")
    assert "python3 -I -m suture.core.boot" in refusal.value.remedy
