# SPDX-License-Identifier: GPL-2.0-or-later
"""The help of each command and group: complete, no wider than the terminal, and no word is
broken."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from suture.cli import app, layout
from suture.cli.layout import OPTIONS

TOP = Path(__file__).resolve().parents[3]


def below(group: click.Context) -> Iterator[click.Context]:
    """Yield every command and group, as it is called."""
    yield group
    if isinstance(group.command, click.Group):
        for name in group.command.list_commands(group):
            command = group.command.get_command(group, name)
            assert command is not None
            yield from below(click.Context(command, parent=group, info_name=name))


ROOT = click.Context(app.program, info_name="suture", help_option_names=["-h", "--help"])
CONTEXTS = {context.command_path: context for context in below(ROOT)}


def shown(path: str, columns: int, box: str = layout.BOXES[0]) -> list[str]:
    context = CONTEXTS[path]
    made = layout.lines(context.command, context, columns, box)
    return ["".join(text for text, _ in line) for line in made]


def texts(path: str) -> Iterator[str]:
    """Yield what help must show whole: texts, and what is typed."""
    command: Any = CONTEXTS[path].command
    yield command.help
    yield from (text for pair in command.examples for text in pair)
    for param in command.get_params(CONTEXTS[path]):
        yield param.help or ""
        if param.opts[0].startswith("-"):
            yield " ".join((*param.opts, *param.secondary_opts))
    if isinstance(command, click.Group):
        yield from command.list_commands(CONTEXTS[path])


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
@pytest.mark.parametrize("path", CONTEXTS)
def test_help_fits_and_no_word_is_broken(path: str, columns: int) -> None:
    lines = shown(path, columns)
    boxed = [line for line in lines if line.startswith("│")]
    assert {len(line) for line in boxed} == {columns}
    assert all(len(line) <= columns or len(line.split()) == 1 for line in lines)
    seen = {word.strip("│,") for line in lines for word in line.split()}
    # What is typed as one word (a long command of an example) may be longer than the line.
    room = 18 if columns == 40 else 30
    for text in texts(path):
        for word in text.split():
            assert len(word) > room or word.strip(",") in seen or word in seen


@pytest.mark.parametrize("path", CONTEXTS)
def test_every_value_has_a_name(path: str) -> None:
    for param in CONTEXTS[path].command.params:
        is_flag = isinstance(param, click.Option) and param.is_flag
        assert is_flag or param.metavar, param.opts


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
    lines = shown("suture inspect", 80, layout.BOXES[1])
    assert all(line.isascii() for line in lines)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("FORCE_COLOR", "NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    return monkeypatch


@pytest.mark.parametrize("words", [["inspect", "--help"], ["--help"], ["kernel"]])
def test_a_pipe_gets_no_escapes(
    words: list[str], plain: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app.main(words)
    assert "\x1b" not in (written := capsys.readouterr().out)
    assert written.splitlines() == shown(
        " ".join(["suture", *words[:1]]).removesuffix(" --help"), 80
    )


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, False),
    ],
)
def test_colours_can_be_had_and_refused(
    variables: dict[str, str],
    coloured: bool,
    plain: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        plain.setenv(name, value)
    assert app.main(["store", "--help"]) == 0
    assert ("\x1b[" in capsys.readouterr().out) is coloured
    assert app.main(["store", "nothing"]) == 2
    assert ("\x1b[" in capsys.readouterr().err) is coloured


def test_wrong_usage_stands_in_a_panel(
    plain: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["kernel", "fetc"]) == 2
    usage, way_out, top, said, bottom = capsys.readouterr().err.splitlines()
    assert usage == "Usage: suture kernel [OPTIONS] COMMAND [ARGS]..."
    assert way_out == "Try 'suture kernel -h' for help."
    assert said.strip("│ ") == "No such command 'fetc'. Did you mean 'fetch'?"
    assert (top[:9], {len(line) for line in (top, said, bottom)}) == ("╭─ Error ", {80})


@pytest.mark.parametrize(
    ("command", "word"),
    [("load x --timeout nan", "nan"), ("log --lines 2.5", "2.5"), ("doctor --for x", "'load'")],
)
def test_wrong_values_are_named(
    command: str, word: str, plain: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(command.split()) == 2
    assert word in capsys.readouterr().err


def test_a_terminal_shows_the_same_with_colours() -> None:
    main, other = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(TOP / "src"), "TERM": "xterm", "COLUMNS": "80"}
    for name in ("FORCE_COLOR", "NO_COLOR"):
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
        line.rstrip() for line in shown("suture inspect", 80)
    ]
