# SPDX-License-Identifier: GPL-2.0-or-later
"""The help of a group is what Typer makes of it with Rich."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
import typer

from suture.cli import app, overview
from suture.cli.commands import Group
from suture.cli.output import examples

WIDTHS = (overview.NARROWEST, 61, 72, 79, 80, 81, 99, 100, 132, 200)


def groups() -> dict[str, Any]:
    root: Any = typer.main.get_command(
        app.program()
    )  # typer keeps the types of its commands private
    below = {name: one for name, one in root.commands.items() if hasattr(one, "commands")}
    return {"suture": root, **below}


@pytest.fixture
def by_typer(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (*overview.OTHERWISE, "NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def help_of(group: Any, name: str, monkeypatch: pytest.MonkeyPatch, columns: int) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    context = group.make_context(name, ["--"], resilient_parsing=True)
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stream)
        super(Group, group).format_help(context, None)
    stream.seek(0)
    return stream.read()


@pytest.mark.parametrize("name", groups())
def test_help_is_the_same_to_the_letter(name: str, by_typer: pytest.MonkeyPatch) -> None:
    group = groups()[name]
    for columns in WIDTHS:
        expected = help_of(group, name, by_typer, columns)
        context = group.make_context(name, ["--"], resilient_parsing=True)
        assert overview.text(group, context, columns) == expected


def test_markup_is_left_to_rich(by_typer: pytest.MonkeyPatch) -> None:
    group = groups()["kernel"]
    group.epilog = examples(("suture kernel list", "[fast]"))
    context = group.make_context("kernel", ["--"], resilient_parsing=True)
    assert overview.text(group, context, 80) is None


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("COLUMNS", "100", 100),
        ("COLUMNS", "59", None),
        ("FORCE_COLOR", "1", None),
        ("TERMINAL_WIDTH", "100", None),
        ("TERM", "dumb", None),
    ],
)
def test_what_is_not_plain_is_left_to_typer(
    name: str, value: str, expected: int | None, by_typer: pytest.MonkeyPatch
) -> None:
    by_typer.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    by_typer.setenv("COLUMNS", "80")
    assert overview.width() == 80
    by_typer.setenv(name, value)
    assert overview.width() == expected


def test_boxes_are_for_those_who_can_show_them(by_typer: pytest.MonkeyPatch) -> None:
    by_typer.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert overview.width() is None
