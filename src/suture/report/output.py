# SPDX-License-Identifier: GPL-2.0-or-later
"""Report files: the form is chosen by the name's end, and a report can be read back."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from suture.errors import REPORT_FORM_UNKNOWN, Refusal
from suture.host.files import check_output, read_bytes, write_atomic
from suture.report import document, html, markdown, rows
from suture.report.content import (
    LabCalls,
    LabComplaint,
    LabResult,
    LabScript,
    PatchReport,
)

if TYPE_CHECKING:
    from suture.lab.results import TestReport


class ReportForm(StrEnum):
    """The forms of a report, by the end of the file's name."""

    HTML = ".html"
    MARKDOWN = ".md"
    JSON = ".json"


def form_of(path: Path) -> ReportForm:
    """Return the form that a file's name asks for, after a check that it can be written.

    :raises Refusal: ``report-form-unknown``, ``file-unwritable``
    """
    try:
        form = ReportForm(path.suffix)
    except ValueError:
        ends = ", ".join(ReportForm)
        raise Refusal(
            REPORT_FORM_UNKNOWN, str(path), f"the name ends with none of {ends}"
        ) from None
    check_output(path)
    return form


def write(report: PatchReport, path: Path) -> None:
    """Write a report in the form that the file's name asks for.

    :raises Refusal: ``report-form-unknown``, ``file-unwritable``, ``disk-full``
    """
    match form_of(path):
        case ReportForm.HTML:
            data = html.render(report).encode("utf-8", "replace")
        case ReportForm.MARKDOWN:
            data = markdown.render(report).encode("utf-8", "replace")
        case ReportForm.JSON:
            data = document.encoded(report)
    write_atomic(path, data)


def read(path: Path, module_sha256: str) -> PatchReport | None:
    """Return the report in a file if it is one about this module; else None.

    A report in Markdown cannot be read back.
    """
    if not path.is_file():
        return None
    data = read_bytes(path)
    report = html.read(data) if path.suffix == ReportForm.HTML else document.parse(data)
    if report is None:
        return None
    modules = [one.sha256 for one in report.files if one.role == "module"]
    return report if modules == [module_sha256] else None


def with_lab(report: PatchReport, tested: TestReport) -> PatchReport:
    """Add the result of a test in the lab."""
    result = LabResult(
        tested.passed,
        tested.release,
        tested.accelerator,
        round(tested.seconds, 1),
        rows.now(),
        tuple(
            LabScript(run.phase.value, run.status, run.output, run.name) for run in tested.scripts
        ),
        tuple(LabCalls(one.objname, one.function, one.calls) for one in tested.counts),
        tuple(LabComplaint(one.what, tuple(one.lines)) for one in tested.complaints),
        None if tested.failure is None else rows.problem(tested.failure),
    )
    return replace(report, lab=result)
