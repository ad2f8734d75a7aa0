# SPDX-License-Identifier: GPL-2.0-or-later
"""The maintainer's walk of docs/tutorial.md, done as it is printed there."""

from __future__ import annotations

from pathlib import Path

from suture.kernel.release import Target
from tests.walk import ShownCommand, ShownFile, comparable, steps

TUTORIAL = Path(__file__).resolve().parents[2] / "docs/tutorial.md"
SHOWN = "6.1.0-55-amd64", "6.12.115+deb12-amd64"


def test_the_walk_prints_what_the_tutorial_shows(
    target: Target, ibt_target: Target, tmp_path: Path
) -> None:
    renamed = dict(zip(SHOWN, (target.release, ibt_target.release), strict=True))
    commands = 0
    for step in steps(TUTORIAL.read_text(), renamed):
        match step:
            case ShownFile():
                step.write(tmp_path)
            case ShownCommand(line, printed):
                commands += 1
                finished = step.run(tmp_path)
                refused = printed.startswith("error[")
                assert finished.returncode == (1 if refused else 0), (line, finished.stderr)
                got = (
                    finished.stderr[finished.stderr.find("error[") :]
                    if refused
                    else finished.stdout
                )
                if printed:
                    assert comparable(got) == comparable(printed), line
    assert commands >= 10
