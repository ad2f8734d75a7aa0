# SPDX-License-Identifier: GPL-2.0-or-later
"""README's commands are commands that Suture has."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from suture.cli.app import PROGRAM, program

README = Path(__file__).resolve().parents[2] / "README.md"


def commands() -> list[str]:
    """Every ``$ suture ...`` line of the blocks marked ``console``."""
    blocks = re.findall(r"^```console\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    return [
        line[2:]
        for block in blocks
        for line in block.splitlines()
        if line.startswith(f"$ {PROGRAM} ")
    ]


def test_readme_shows_the_path_of_a_new_user() -> None:
    shown = "\n".join(commands())
    for command in ("doctor", "kernel list", "kernel fetch", "build", "inspect", "test"):
        assert f"{PROGRAM} {command}" in shown


@pytest.mark.parametrize("line", commands())
def test_a_command_of_readme_is_understood(line: str) -> None:
    command: Any = typer.main.get_command(
        program()
    )  # typer keeps the types of its commands private
    words = shlex.split(line, comments=True)[1:]
    path = [PROGRAM]
    while hasattr(command, "commands"):
        path.append(words.pop(0))
        command = command.commands[path[-1]]
    # Reading the words, with no invocation: raises typer's error for wrong usage.
    command.make_context(" ".join(path), words)
