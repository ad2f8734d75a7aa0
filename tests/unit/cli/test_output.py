# SPDX-License-Identifier: GPL-2.0-or-later
"""What commands print, for people and for programs."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pytest

from suture.cli import output
from suture.errors import DISK_FULL, Refusal
from suture.host.progress import advance, note, reporter, step
from suture.host.reporters import LiveSteps, PlainSteps, for_stderr


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Inner:
    path: Path
    colours: tuple[Colour, ...]


@dataclass(frozen=True, slots=True)
class Outer:
    inner: Inner
    names: frozenset[str]


@pytest.fixture
def as_json() -> Iterator[None]:
    token = output.json_wanted.set(True)
    yield
    output.json_wanted.reset(token)


@pytest.mark.usefixtures("as_json")
def test_values_of_the_rooms_are_json_documents(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit(
        {"outer": Outer(Inner(Path("/a/b"), (Colour.RED,)), frozenset({"z", "y"}))}, "for people"
    )
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {
        "outer": {"inner": {"path": "/a/b", "colours": ["red"]}, "names": ["y", "z"]}
    }
    assert shown.err == ""


@pytest.mark.usefixtures("as_json")
def test_names_that_are_no_unicode_are_json_all_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.emit({"path": Path(os.fsdecode(b"/tmp/\xff"))}, "")
    assert json.loads(capsys.readouterr().out)["path"] == "/tmp/\udcff"


@pytest.mark.usefixtures("as_json")
def test_text_for_people_is_not_even_made_for_json(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit([], lambda: pytest.fail("was made"))
    assert json.loads(capsys.readouterr().out) == []


def test_text_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    text = f"[bold]no markup[/bold] :smile: {'long ' * 100}end"
    output.emit({}, text)
    assert capsys.readouterr().out == f"{text}\n"


def test_a_table_in_a_pipe_has_one_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit(
        {}, output.table(("name", "text"), [("a", "word " * 50 + "end"), ("bb", "[x]\x1b[2J")])
    )
    assert capsys.readouterr().out.splitlines() == [
        "name  text",
        f"a     {'word ' * 50}end",
        r"bb    [x]\x1b[2J",
    ]


def test_a_refusal_in_a_pipe_has_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    refusal = Refusal(DISK_FULL, "/x", "found [this]" + " and more" * 50)
    output.refuse(refusal)
    assert capsys.readouterr().err == f"{refusal}\n"


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    """What a refusal looks like there."""
    for name in ("NO_COLOR", "COLORTERM", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm", **variables}.items():
        monkeypatch.setenv(name, value)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        output.refuse(Refusal(DISK_FULL, "/x", "found"))
        terminal.flush()
        shown = os.read(ours, 65536).decode()
    os.close(ours)
    return shown


def test_a_refusal_on_a_terminal_is_coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[1;31merror[disk-full]" in on_a_terminal(monkeypatch)


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[1;31m" not in on_a_terminal(monkeypatch, NO_COLOR="1")


def test_steps_in_a_log_are_lines_with_times() -> None:
    log = io.StringIO()
    plain = PlainSteps(log)
    plain.begin("Unpacking the source", "linux-source-6.1")
    plain.advance(1, 2)
    plain.end("Unpacking the source", 10.24, failed=False)
    assert log.getvalue() == "Unpacking the source: linux-source-6.1 … 10.2 s\n"


def test_what_comes_between_ends_a_steps_line() -> None:
    log = io.StringIO()
    plain = PlainSteps(log)
    plain.begin("Building", "")
    plain.begin("Compiling", "a.c")
    plain.end("Compiling", 1.0, failed=False)
    plain.note("5 files include it")
    plain.begin("Linking", "")
    plain.end("Linking", 2.0, failed=True)
    plain.end("Building", 3.0, failed=True)
    assert log.getvalue().splitlines() == [
        "Building … ",
        "  Compiling: a.c … 1.0 s",
        "  5 files include it",
        "  Linking … failed after 2.0 s",
        "Building … failed after 3.0 s",
    ]


def everything(terminal: int) -> str:
    """What was written to a pseudo-terminal whose other end is closed; one read need not bring all
    of it."""
    read = b""
    with (
        os.fdopen(terminal, "rb", buffering=0) as ours,
        contextlib.suppress(OSError),
    ):  # EIO: the other end is closed
        while piece := ours.read(65536):
            read += piece
    return read.decode()


def test_steps_on_a_terminal_leave_a_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        live = for_stderr()
        assert isinstance(live, LiveSteps)
        token = reporter.set(live)
        with step("Fetching", "a kernel"), step("Downloading"):
            advance(1, 4)
            note("from the archive")
        reporter.reset(token)
    shown = everything(ours)
    for expected in ("✓ ", "Fetching: a kernel", "Downloading", "• ", "from the archive"):
        assert expected in shown


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        assert isinstance(for_stderr(), PlainSteps)
    os.close(ours)
