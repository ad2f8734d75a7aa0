# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual page, against the command line and against groff."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from scripts import manpage


def test_the_page_is_up_to_date() -> None:
    assert manpage.PAGE.read_text() == manpage.page(), "run 'make docs'"


@pytest.mark.parametrize(
    "command", ["build", "inspect", "test", "demo", "doctor", "kernel list", "kernel fetch"]
)
def test_every_command_has_its_section(command: str) -> None:
    assert f"\n.SS suture {command} [" in manpage.page()


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_finds_nothing_wrong() -> None:
    done = subprocess.run(
        ["groff", "-man", "-ww", "-z", "-Tutf8", str(manpage.PAGE)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""


def test_text_cannot_become_a_request() -> None:
    assert manpage.roff(".config holds a-b \\ c") == "\\&.config holds a\\-b \\e c"
