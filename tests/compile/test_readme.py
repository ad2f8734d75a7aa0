# SPDX-License-Identifier: GPL-2.0-or-later
"""README's commands are commands that Suture has."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

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
    command: click.Command = program
    words = shlex.split(line, comments=True)[1:]
    path = [PROGRAM]
    while isinstance(command, click.Group):
        path.append(words.pop(0))
        found = command.get_command(click.Context(command), path[-1])
        assert found is not None
        command = found
    # Reading the words, with no invocation: raises click's error for wrong usage.
    command.make_context(" ".join(path), words)
