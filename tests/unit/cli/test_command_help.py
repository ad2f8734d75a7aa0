# SPDX-License-Identifier: GPL-2.0-or-later
"""The help of each command: complete, no wider than the terminal, and no word is broken."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from suture.cli import app, command_help, overview
from suture.cli.command_help import OPTIONS, plain

TOP = Path(__file__).resolve().parents[3]


def each_command(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield every command that is no group, with the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from each_command(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


# typer keeps the types of its commands private
ROOT: Any = typer.main.get_command(app.program())
COMMANDS = dict(each_command(ROOT, "suture"))


def context(path: str) -> Any:
    names = ["-h", "--help"]  # as the root has it
    return COMMANDS[path].make_context(
        path, ["--"], resilient_parsing=True, help_option_names=names
    )


def shown(path: str, columns: int, box: str = command_help.BOXES[0]) -> list[str]:
    made = command_help.lines(COMMANDS[path], context(path), columns, box)
    return ["".join(text for text, _ in line) for line in made]


def words(text: str) -> list[str]:
    """The words that help must show whole: of text, and of what is typed."""
    return plain(text).split()


def texts(path: str) -> Iterator[str]:
    command = COMMANDS[path]
    yield command.help
    yield re.sub(r"\[/?(?:bold|dim)\]", "", command.epilog or "")
    for param in command.get_params(context(path)):
        yield param.help or ""
        if param.opts[0].startswith("-"):
            yield " ".join((*param.opts, *param.secondary_opts))


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
@pytest.mark.parametrize("path", COMMANDS)
def test_help_fits_and_no_word_is_broken(path: str, columns: int) -> None:
    lines = shown(path, columns)
    boxed = [line for line in lines if line.startswith("│")]
    assert {len(line) for line in boxed} == {columns}
    assert all(len(line) <= columns or len(line.split()) == 1 for line in lines)
    seen = {word.strip("│,") for line in lines for word in line.split()}
    # What is typed as one word (a long command of an example) may be longer than the line.
    room = 18 if columns == 40 else 30
    for text in texts(path):
        for word in words(text):
            assert len(word) > room or word.strip(",") in seen or word in seen


@pytest.mark.parametrize("path", COMMANDS)
def test_every_value_has_a_name(path: str) -> None:
    for param in COMMANDS[path].get_params(context(path)):
        is_option = param.opts[0].startswith("-")
        assert not is_option or param.is_flag or param.metavar, param.opts


def test_the_options_of_build_stand_in_panels() -> None:
    heads = [
        line.split("─ ")[1].split(" ─")[0] for line in shown("suture build", 80) if "╭" in line
    ]
    assert heads[:2] == ["Arguments", "Target"]
    assert heads[-1] == OPTIONS
    assert len(shown("suture build", 80)) < 125


def test_few_options_stand_in_one_list() -> None:
    heads = [line for line in shown("suture verify", 80) if "╭" in line]
    assert len(heads) == 2


def test_a_default_is_shown() -> None:
    text = " ".join(" ".join(shown("suture load", 100)).split())
    assert "before reversing it. [default: 60]" in text


def test_usage_names_what_has_to_be_given() -> None:
    assert " Usage: suture build [OPTIONS] INPUT..." in shown("suture build", 80)
    assert " Usage: suture kernel show [OPTIONS] [RELEASE]" in shown("suture kernel show", 80)


def test_boxes_are_drawn_with_what_the_encoding_has() -> None:
    lines = shown("suture inspect", 80, command_help.BOXES[1])
    assert all(line.isascii() for line in lines)


def test_a_pipe_gets_no_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*overview.OTHERWISE, "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stream)
        assert command_help.write(COMMANDS["suture inspect"], context("suture inspect"))
    stream.seek(0)
    assert "\x1b" not in stream.read()


def test_a_terminal_shows_the_same_with_colours() -> None:
    main, other = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(TOP / "src"), "TERM": "xterm", "COLUMNS": "80"}
    for name in (*overview.OTHERWISE, "NO_COLOR"):
        environment.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, "-m", "suture", "inspect", "--help"], env=environment, stdout=other
    )
    os.close(other)
    read = b""
    try:
        while part := os.read(main, 1 << 16):
            read += part
    except OSError:
        pass  # the other end is closed
    assert process.wait() == 0
    os.close(main)
    text = read.decode().replace("\r\n", "\n")
    assert "\x1b[" in text
    stripped = re.sub(r"\x1b\[[\d;]*m", "", text)
    assert [line.rstrip() for line in stripped.splitlines()] == [
        *(line.rstrip() for line in shown("suture inspect", 80)),
        "",
    ]
