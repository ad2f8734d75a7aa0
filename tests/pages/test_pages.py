# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports as a browser shows them: at three widths, in light and dark, without a network, and with
axe-core's checks of accessibility."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from scripts import browser
from suture.report import html
from suture.report.content import Origin, PatchReport, ReportVerdict
from tests.unit.report.example import PROBLEM, REPORT

CHECK = Path(browser.TOP, "scripts", "page_check.py")
PICTURES = Path(browser.TOP, "build", "pictures")

LONG = "a_name_without_a_single_place_to_break_it_" * 4

REPORTS = {
    "built": REPORT,
    "refused": PatchReport(
        1, Origin.REFUSED, "fix", "6.1", "", ReportVerdict(False, "No.", problems=(PROBLEM,))
    ),
    "long": replace(
        REPORT,
        name=LONG,
        checks=(replace(REPORT.checks[0], function=LONG, problem=LONG),),
        symbols=(replace(REPORT.symbols[0], name=LONG, detail=LONG * 4),),
        proofs=(replace(REPORT.proofs[0], refers_to=(LONG,) * 4),),
    ),
}


@pytest.fixture(scope="session")
def chromium() -> browser.Browser:
    return browser.prepare()


def checked(chromium: browser.Browser, *pages: Path) -> list[str]:
    PICTURES.mkdir(parents=True, exist_ok=True)
    words = [chromium.chromium, chromium.axe, PICTURES, *pages]
    done = subprocess.run(
        [chromium.python, CHECK, *words],
        env=chromium.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    problems: list[str] = json.loads(done.stdout)
    return problems


def test_reports_are_accessible_and_fit_every_screen(
    chromium: browser.Browser, tmp_path: Path
) -> None:
    for name, report in REPORTS.items():
        (tmp_path / f"{name}.html").write_text(html.render(report))
    assert checked(chromium, *sorted(tmp_path.iterdir())) == []


def test_the_check_sees_what_is_wrong(chromium: browser.Browser, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text(
        "<!DOCTYPE html><title>Bad</title><p style='width: 2000px; color: #ddd'>pale</p>"
        "<img src='other.png'>"
    )
    problems = "\n".join(checked(chromium, page))
    for found in ("html-has-lang", "color-contrast", "too wide", "it fetches"):
        assert found in problems
