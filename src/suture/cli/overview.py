# SPDX-License-Identifier: GPL-2.0-or-later
"""The help of a group of commands, ``suture --help`` first of all, as a pipe gets it.

Typer lays help out with Rich, whose import takes longer than everything else that is done for help.
Where there are no colours and nothing has to be squeezed, the layout is simple, and is made here;
it is the same to the letter.  Everywhere else Typer's own is used.
"""

from __future__ import annotations

import inspect
import os
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from suture.cli.output import paragraphs

NARROWEST = 60
"""Columns; below, Rich may take width from columns that are not folded."""

NOT_A_TERMINAL = 80
"""Columns where there is no terminal at all, as Rich has it."""

OTHERWISE = ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "TERMINAL_WIDTH", "TTY_COMPATIBLE")
"""Variables with which Rich or Typer take a pipe for a terminal, or for one of another width."""

GAP = 2
"""Columns between those of a table."""

UNUSED = 8
"""Columns that the negative forms of options and their values would begin behind."""


def width() -> int | None:
    """The columns to fill; None where the help is not for us to lay out."""
    if sys.stdout.isatty() or any(name in os.environ for name in OTHERWISE):
        return None
    if not (sys.stdout.encoding or "").lower().startswith("utf") or _is_dumb():
        return None
    set_by_user = os.environ.get("COLUMNS", "")
    columns = int(set_by_user) if set_by_user.isdigit() else _of_terminal()
    return columns if columns >= NARROWEST else None


def _is_dumb() -> bool:
    return os.environ.get("TERM", "").lower() in ("dumb", "unknown")


def _of_terminal() -> int:
    """Rich looks at each standard stream, so that help that is piped to a pager fits."""
    for stream in range(3):
        try:
            return os.get_terminal_size(stream).columns or NOT_A_TERMINAL
        except OSError:
            pass
    return NOT_A_TERMINAL


def text(command: Any, context: Any, columns: int) -> str | None:
    """The help of a group of Typer's.

    :return: None where it holds markup that only Rich understands.
    """
    about, epilog = paragraphs(command.help), _without_styles(command.epilog or "")
    usage = " ".join(["Usage:", context.command_path, *command.collect_usage_pieces(context)])
    options = [
        (option.opts, option.help or "")
        for option in command.get_params(context)
        if not option.hidden
    ]
    panels = _panels(command)
    plain = [about, usage, epilog, *(help for _, help in options)]
    plain += [help for rows in panels.values() for _, help in rows]
    if any("[" in one.replace(usage, "") for one in plain):
        return None
    lines = ["", *_folded(usage, columns - 2), "", *_folded(about, columns - 2), ""]
    out = [_padded(line, columns) for line in lines]
    out += _panel("Options", _option_rows(options), columns)
    name_width = max(len(name) for rows in panels.values() for name, _ in rows)
    for title, rows in panels.items():
        named = [(name.ljust(name_width + GAP), help) for name, help in rows]
        out += _panel(title, named, columns)
    if epilog:
        lines = ["", *_folded(epilog, columns - 2), ""]
        out += [_padded(line, columns) for line in lines]
    return "\n".join([*out, ""])


def _without_styles(epilog: str) -> str:
    """What `output.examples` makes, without its markup."""
    for tag in ("[bold]", "[/bold]", "[dim]", "[/dim]"):
        epilog = epilog.replace(tag, "")
    return inspect.cleandoc(epilog)


def _panels(group: Any) -> dict[str, list[tuple[str, str]]]:
    """Title -> name and first paragraph of the help of each command."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, command in group.commands.items():
        if not command.hidden:
            title = str(command.rich_help_panel or "Commands")
            help = paragraphs(command.short_help or command.help).split("\n\n")[0]
            found.setdefault(title, []).append((name, help))
    return found


def _option_rows(options: Iterable[tuple[Sequence[str], str]]) -> list[tuple[str, str]]:
    split = [
        (
            ",".join(name for name in names if name.startswith("--")),
            ",".join(name for name in names if not name.startswith("--")),
            help,
        )
        for names, help in options
    ]
    long_width, short_width = (max(len(row[column]) for row in split) for column in (0, 1))
    return [
        (long.ljust(long_width + GAP) + short.ljust(short_width) + " " * UNUSED, help)
        for long, short, help in split
    ]


def _panel(title: str, rows: Iterable[tuple[str, str]], columns: int) -> Iterator[str]:
    """A box with a title.

    :param rows: what stands before the text, all of one width, and the text.
    """
    yield f"╭─ {title} ".ljust(columns - 1, "─") + "╮"
    for name, help in rows:
        for number, line in enumerate(_folded(help, columns - 4 - len(name))):
            before = " " * len(name) if number else name
            yield f"│ {before}{line}".ljust(columns - 2) + " │"
    yield "╰".ljust(columns - 1, "─") + "╯"


def _folded(text: str, columns: int) -> list[str]:
    folded = (
        textwrap.wrap(line, columns, break_on_hyphens=False) or [""] for line in text.split("\n")
    )
    return [line for lines in folded for line in lines]


def _padded(line: str, columns: int) -> str:
    return f" {line}".ljust(columns)
