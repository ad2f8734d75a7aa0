# SPDX-License-Identifier: GPL-2.0-or-later
"""README's walk from a patch to a tested module, done as it is written there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from suture.kernel.release import Target

README = Path(__file__).resolve().parents[2] / "README.md"
EXAMPLE = "6.1.0-50-amd64"


def section() -> str:
    return README.read_text().split("## Build your own patch")[1].split("\n## ")[0]


def block(language: str) -> str:
    """The last block in that language."""
    blocks: list[str] = re.findall(
        rf"^```{language}\n(.*?)^```", section(), re.MULTILINE | re.DOTALL
    )
    return blocks[-1]


def steps() -> list[tuple[str, str]]:
    """Each command of the walk, and what README says it prints."""
    parts = re.split(r"^\$ (.*)\n", block("console"), flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def comparable(printed: str) -> list[str]:
    """Without what differs from one run, machine or release to the next: times, accelerator,
    addresses."""
    printed = re.sub(r"\((tcg|kvm)\)|\d+\.\d s\b|\+0x[0-9a-f]+ *", "", printed)
    return [line.rstrip() for line in printed.splitlines() if line.strip()]


def test_the_walk_prints_what_readme_shows(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("version.patch").write_text(block("diff"))
    Path("check.sh").write_text(block("sh"))
    commands = steps()
    assert [command.split()[1] for command, _ in commands] == ["kernel", "build", "inspect", "test"]
    for command, shown in commands:
        words = command.replace(EXAMPLE, target.release).split()
        assert words[0] == "suture"
        finished = subprocess.run(
            [sys.executable, "-m", *words], capture_output=True, text=True, check=False
        )
        assert finished.returncode == 0, finished.stderr
        if shown:
            assert comparable(finished.stdout) == comparable(shown.replace(EXAMPLE, target.release))
