# SPDX-License-Identifier: GPL-2.0-or-later
"""The command lines of ``suture test`` and ``suture lab shell``, and what is printed of results."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from suture.cli.app import main
from suture.cli.output import emit
from suture.cli.test import for_people
from suture.errors import LAB_DEADLINE, LAB_SCRIPT_FAILED, Refusal
from suture.lab.complaints import Complaint
from suture.lab.results import LabStep, ScriptPhase, ScriptRun, TestReport

ROUNDS = TestReport(
    release="6.1.0-9-amd64",
    accelerator="tcg",
    patch="livepatch_fix",
    steps=(
        LabStep("patch", 1.0, round=1),
        LabStep("unpatch", 0.5, round=1),
        LabStep("patch", 2.0, round=2, log=(10, 20)),
    ),
    scripts=(
        ScriptRun(ScriptPhase.PATCHED, 0, "first\n", "a.sh", 1),
        ScriptRun(ScriptPhase.PATCHED, 0, "again\n", "a.sh", 2),
    ),
    counts=(),
    complaints=(Complaint("WARNING", ("WARNING: x",), 12),),
    failure=None,
    rounds=5,
    rounds_done=1,
    workload=True,
)


def shown(report: TestReport, capsys: pytest.CaptureFixture[str]) -> str:
    emit({}, for_people(report))
    return capsys.readouterr().out


def test_of_rounds_the_last_and_the_times_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(ROUNDS, capsys)
    assert "the kernel complained (WARNING) during patch in round 2:\n  WARNING: x" in text
    assert "1 of 5 rounds passed, while the guest was kept busy\nround 2 was the last" in text
    assert "transitions to the new code: min 1.0 s, median 1.5 s, max 2.0 s" in text
    assert "first" in text
    assert "again" not in text  # as before, and there may be a thousand


def test_each_script_that_failed_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    late = Refusal(LAB_DEADLINE, "slow.sh", "it was ended after 1 s (before)")
    failed = Refusal(LAB_SCRIPT_FAILED, "bad.sh", "it exited with status 3")
    steps = (
        LabStep("script before", 1, "slow.sh", failure=late),
        LabStep("script patched", 1, "bad.sh", failure=failed),
    )
    runs = (
        ScriptRun(ScriptPhase.BEFORE, 124, "", "slow.sh", late=True),
        ScriptRun(ScriptPhase.PATCHED, 3, "", "bad.sh"),
    )
    report = replace(ROUNDS, rounds=1, steps=steps, scripts=runs, complaints=(), failure=late)
    text = shown(report, capsys)
    assert "slow.sh, before: ended at its deadline\nbad.sh, patched: exit status 3" in text
    assert "error[lab-deadline]: slow.sh" in text
    assert "error[lab-script-failed]: bad.sh" in text
    assert "rounds" not in text


@pytest.mark.parametrize(
    "words",
    [
        ["test"],
        ["test", "a.ko", "--rounds", "0"],
        ["lab", "shell", "--load"],
        ["lab", "shell", "a/same.sh", "b/same.sh"],
        ["lab", "shell", "--kernel", "6.1", "--kernel-dir", "."],
    ],
)
def test_wrong_usage_has_status_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert "Error" in capsys.readouterr().err


def test_a_result_that_could_not_be_written_is_refused_before_the_boot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["test", str(tmp_path / "none.ko"), "--junit", "/dev/null", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["where"] == "/dev/null"


def test_a_script_that_is_not_there_is_refused_before_the_boot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "none.sh"
    assert main(["test", "none.ko", "--script", str(script), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["where"] == str(script)


def test_each_of_several_modules_is_tried_and_what_was_refused_is_in_all_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    modules = [str(tmp_path / name) for name in ("none.ko", "text.ko")]
    Path(modules[1]).write_text("no object file")
    junit = tmp_path / "result.xml"
    assert main(["test", *modules, "--junit", str(junit), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["passed"] is False
    assert [(one["module"], one["test"]) for one in document["tests"]] == [
        (name, None) for name in modules
    ]
    codes = [one["error"]["code"] for one in document["tests"]]
    errors = [found.get("type") for found in ElementTree.parse(junit).iter("error")]
    assert codes == errors == ["file-unreadable", "object-malformed"]
    assert main(["test", *modules]) == 1
    printed = capsys.readouterr().out
    assert printed.count("not tested") == 2
    assert "error[object-malformed]" in printed


def test_of_one_module_that_is_refused_the_result_file_is_written_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    junit = tmp_path / "result.xml"
    assert main(["test", str(tmp_path / "none.ko"), "--junit", str(junit), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "file-unreadable"
    (error,) = ElementTree.parse(junit).iter("error")
    assert error.get("type") == "file-unreadable"
