# SPDX-License-Identifier: GPL-2.0-or-later
"""README's walk from a patch to a tested module, done as it is written there."""

from __future__ import annotations

from pathlib import Path

from suture.kernel.release import Target
from tests.walk import ShownCommand, ShownFile, comparable, steps

README = Path(__file__).resolve().parents[2] / "README.md"
EXAMPLE = "6.1.0-50-amd64"

WALK = ("kernel", "build", "inspect", "test")


def section() -> str:
    """From the first file of the walk on: what stands before it shows other commands."""
    whole = README.read_text().split("## Build your own patch")[1].split("\n## ")[0]
    return "```diff file=" + whole.split("```diff file=")[1]


def files() -> list[ShownFile]:
    """What the reader writes."""
    return [step for step in steps(section(), {}) if isinstance(step, ShownFile)]


def test_the_walk_prints_what_readme_shows(target: Target, tmp_path: Path) -> None:
    done = []
    for step in steps(section(), {EXAMPLE: target.release}):
        match step:
            case ShownFile():
                step.write(tmp_path)
            case ShownCommand(line, printed):
                done.append(line.split()[1])
                finished = step.run(tmp_path)
                assert finished.returncode == 0, finished.stderr
                if printed:
                    assert comparable(finished.stdout) == comparable(printed), line
    assert tuple(done) == WALK
