# SPDX-License-Identifier: GPL-2.0-or-later
"""Report files, their schema, and reading them back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from scripts import schema
from suture.cli import reports
from suture.errors import LAB_LOAD_FAILED, Refusal
from suture.lab.complaints import Complaint
from suture.lab.results import CallCount, LabStep, ScriptPhase, ScriptRun, TestReport
from suture.report import document, output
from suture.report.content import FORMAT
from tests.examples import shows
from tests.unit.report.example import REPORT

MODULE = REPORT.files[0].sha256


def test_the_published_schema_is_the_one_that_is_written() -> None:
    assert schema.REPORT_PAGE.read_text() == schema.report_text(), "run 'make docs'"


def test_the_schema_names_every_field_of_a_document() -> None:
    definitions = json.loads(schema.REPORT_PAGE.read_text())["$defs"]
    fields = document.plain(REPORT)
    assert set(definitions["PatchReport"]["properties"]) == set(fields)
    assert set(definitions["FunctionAccount"]["properties"]) == set(fields["functions"][0])


@pytest.mark.parametrize("name", ["report.html", "report.json"])
def test_a_report_can_be_read_back(tmp_path: Path, name: str) -> None:
    output.write(REPORT, tmp_path / name)
    assert output.read(tmp_path / name, MODULE) == REPORT
    assert output.read(tmp_path / name, "00" * 32) is None


def test_what_is_no_report_is_not_read(tmp_path: Path) -> None:
    assert output.read(tmp_path / "none.html", MODULE) is None
    (tmp_path / "other.json").write_text('{"format": 1}')
    assert output.read(tmp_path / "other.json", MODULE) is None
    (tmp_path / "deep.json").write_text("[" * 100_000)
    assert output.read(tmp_path / "deep.json", MODULE) is None
    newer = replace(REPORT, format=FORMAT + 1)
    assert document.parse(document.encoded(newer)) is None
    output.write(REPORT, tmp_path / "mail.md")
    assert output.read(tmp_path / "mail.md", MODULE) is None


def test_the_name_of_the_file_says_the_form(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refused:
        output.write(REPORT, tmp_path / "report.pdf")
    shows(refused.value, "report-form-unknown")
    assert list(tmp_path.iterdir()) == []


def test_the_result_of_a_test_is_added_to_the_report() -> None:
    failure = Refusal(LAB_LOAD_FAILED, "fix.ko", "it does not load")
    tested = TestReport(
        "6.1",
        "kvm",
        "livepatch_fix",
        (LabStep("boot", 4.26), LabStep("load", 1.0)),
        (ScriptRun(ScriptPhase.PATCHED, 0, "out"),),
        (CallCount("vmlinux", "mended", "mended", 3),),
        (Complaint("WARNING", ("line",)),),
        failure,
    )
    lab = output.with_lab(replace(REPORT, lab=None), tested).lab
    assert lab is not None
    assert (lab.passed, lab.accelerator, lab.seconds) == (False, "kvm", 5.3)
    assert lab.failure is not None
    assert lab.failure.code == "lab-load-failed"
    assert (lab.calls[0].calls, lab.scripts[0].output) == (3, "out")


def test_one_of_several_reports_has_a_name_of_its_own() -> None:
    assert reports.numbered(Path("a/fix.html")) == Path("a/fix.html")
    name = reports.numbered(Path("a/fix.html"), "6.12.111+deb12-amd64", "one")
    assert name == Path("a/fix-6.12.111+deb12-amd64-one.html")
