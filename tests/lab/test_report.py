# SPDX-License-Identifier: GPL-2.0-or-later
"""The result of the lab in a report."""

from __future__ import annotations

from pathlib import Path

import pytest

from suture.cli.app import main as suture
from suture.kernel.release import Target
from suture.report import html
from suture.report.content import Origin
from suture.workspace.prepare import Workspace
from tests.patches import Edit, diff

EDIT = Edit(
    "fs/proc/version.c",
    "\tseq_printf(m, linux_proc_banner,",
    '\tseq_puts(m, "Sutured ");\n\tseq_printf(m, linux_proc_banner,',
)


def test_a_test_adds_its_result_to_the_report_of_the_build(
    target: Target, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("version.patch").write_text(diff(workspace.tree, EDIT))
    Path("check.sh").write_text("cut -d' ' -f1 /proc/version\n")
    build = ["build", "version.patch", "--kernel", target.release, "-o", "fix.ko"]
    assert suture([*build, "--report", "fix.html"]) == 0
    assert suture(["test", "fix.ko", "--script", "check.sh", "--report", "fix.html"]) == 0
    report = html.read(Path("fix.html").read_bytes())
    assert report is not None
    assert report.origin is Origin.BUILT
    assert report.proofs
    assert report.lab is not None
    assert report.lab.passed
    assert [run.output.strip() for run in report.lab.scripts] == ["Linux", "Sutured", "Linux"]
    (calls,) = report.lab.calls
    assert (calls.function, calls.calls) == ("version_proc_show", 1)
