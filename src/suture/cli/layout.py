# SPDX-License-Identifier: GPL-2.0-or-later
"""The layout of help, and of what is said about wrong usage.

All that is typed stands in one column, and the text beside it, or below where it is long::

    --kernel RELEASE        The target, as printed by uname -r; by default the running
                            kernel.
"""

from __future__ import annotations

import inspect
import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import click

from suture.cli.commands import Example

NARROWEST = 40
"""Columns; a narrower terminal folds the lines itself."""

NOT_A_TERMINAL = 80
"""Columns where there is no terminal at all."""

GAP = 2
"""Columns between what is typed and the text."""

TERM_SHARE = 3
"""What is typed takes at most this part of the width."""

PANELS_FROM = 10
"""The options with which a command's help has panels; fewer are easier found in one list."""

ARGUMENTS, OPTIONS, COMMANDS, ERROR = "Arguments", "Options", "Commands", "Error"

BORDER, NAME, VALUE, NOTE, HEADING = "border", "name", "value", "note", "heading"

STYLES: dict[str, dict[str, Any]] = {
    "": {},
    BORDER: {"dim": True},
    NAME: {"bold": True, "fg": "cyan"},
    VALUE: {"fg": "yellow"},
    NOTE: {"dim": True},
    HEADING: {"bold": True},
}

BOXES = ("╭─╮│╰╯", "+-+|++")
"""The corners and sides of a panel, for an encoding with and without them."""

Segment = tuple[str, str]
"""A text, and the name of its style."""

Row = tuple[tuple[Segment, ...], str]
"""What is typed, and the text about it."""


def page(command: click.Command, context: click.Context) -> str:
    """Return the help of a command or a group for stdout."""
    made = lines(command, context, max(_columns(), NARROWEST), _box(sys.stdout))
    return "\n".join(map(_styled, made))


def wrong_usage(error: click.ClickException) -> str:
    """Return what is said about a wrong command line, for stderr."""
    context = getattr(error, "ctx", None)
    said = []
    if context is not None:
        name = context.help_option_names[0]
        said = [context.get_usage(), f"Try '{context.command_path} {name}' for help."]
    rows: list[Row] = [((), error.format_message())]
    panel = _panel(ERROR, rows, max(_columns(), NARROWEST), _box(sys.stderr), 0)
    return "\n".join([*said, *map(_styled, panel)])


def lines(
    command: Any, context: click.Context, columns: int, box: str = BOXES[0]
) -> Iterator[tuple[Segment, ...]]:
    """Yield the lines of the help, none longer than the columns.

    :param command: a command or a group of `suture.cli.commands`.
    """
    yield ()
    usage = " ".join(["Usage:", context.command_path, *command.collect_usage_pieces(context)])
    for line in textwrap.wrap(usage, columns - 2, break_on_hyphens=False, subsequent_indent="  "):
        yield ((f" {line}", HEADING),)
    for paragraph in paragraphs(command.help):
        yield ()
        yield from (((f" {line}", ""),) for line in _folded(paragraph, columns - 2))
    yield ()
    for title, of in _option_panels(command.get_params(context)).items():
        yield from _panel(title, [(_term(one), _about(one)) for one in of], columns, box)
    if isinstance(command, click.Group):
        yield from _command_panels(command, context, columns, box)
    if command.examples:
        yield ()
        yield from _examples(command.examples, columns)


def paragraphs(text: str | None) -> list[str]:
    """Return the paragraphs of a docstring, each as one line, for the terminal to fold."""
    return [" ".join(part.split()) for part in inspect.cleandoc(text or "").split("\n\n")]


def term(param: click.Parameter) -> str:
    """Return the names of an option, long ones first; of an argument its name."""
    if isinstance(param, click.Argument):
        return value(param)
    long_first = sorted(param.opts, key=lambda name: not name.startswith("--"))
    return ", ".join([*long_first, *param.secondary_opts])


def value(param: click.Parameter) -> str:
    """Return what help calls the value of a parameter; "" for a flag."""
    if isinstance(param, click.Option) and param.is_flag:
        return ""
    return str(param.metavar or (param.name or "").upper().replace("_", "-"))


def _columns() -> int:
    """The columns to fill.  Of all standard streams one may be a terminal, so that help that is
    piped to a pager fits."""
    set_by_user = os.environ.get("COLUMNS", "")
    if set_by_user.isdigit() and int(set_by_user):
        return int(set_by_user)
    for stream in range(3):
        try:
            return os.get_terminal_size(stream).columns or NOT_A_TERMINAL
        except OSError:
            pass
    return NOT_A_TERMINAL


def _box(stream: Any) -> str:
    return BOXES[not (stream.encoding or "").lower().startswith("utf")]


def _styled(line: Sequence[Segment]) -> str:
    return "".join(click.style(text, **STYLES[style]) if style else text for text, style in line)


def _joined(line: Sequence[Segment]) -> str:
    return "".join(text for text, _ in line)


def _folded(text: str, columns: int) -> list[str]:
    """Fold a text between words."""
    return textwrap.wrap(text, columns, break_on_hyphens=False) or [""]


def _option_panels(params: Sequence[click.Parameter]) -> dict[str, list[click.Parameter]]:
    """Return the arguments, and the options under their headings; those without one are last."""
    options = [param for param in params if isinstance(param, click.Option)]
    found: dict[str, list[click.Parameter]] = {
        ARGUMENTS: [param for param in params if isinstance(param, click.Argument)]
    }
    rest: list[click.Parameter] = []
    for one in options:
        title = getattr(one, "panel", None)
        is_named = title is not None and len(options) >= PANELS_FROM
        (found.setdefault(str(title), []) if is_named else rest).append(one)
    return {title: of for title, of in (found | {OPTIONS: rest}).items() if of}


def _command_panels(
    group: Any, context: click.Context, columns: int, box: str
) -> Iterator[tuple[Segment, ...]]:
    """Yield panels of a group's commands, under its headings if it has any."""
    headings = getattr(group, "headings", {COMMANDS: group.list_commands(context)})
    width = max(map(len, group.list_commands(context)))
    for title, names in headings.items():
        rows: list[Row] = []
        for name in names:
            about = paragraphs(group.get_command(context, name).help)[0]
            rows.append((((name, NAME),), about))
        yield from _panel(title, rows, columns, box, width)


def _term(param: click.Parameter) -> tuple[Segment, ...]:
    """Return what is typed: ``--output, -o OUT.ko``."""
    if isinstance(param, click.Argument):
        return ((term(param), VALUE),)
    names, word = (term(param), NAME), value(param)
    return (names, (f" {word}", VALUE)) if word else (names,)


def _about(param: Any) -> str:
    """Return the text about a parameter, with its default."""
    text = " ".join((param.help or "").split())
    shown = getattr(param, "default_shown", None)
    if shown is True and param.secondary_opts:
        shown = param.opts[0].lstrip("-")
    if isinstance(shown, float):
        shown = f"{shown:g}"
    has_default = not isinstance(shown, bool) and shown not in (None, "")
    return f"{text} [default: {shown}]" if has_default else text


def _panel(
    title: str, rows: Sequence[Row], columns: int, box: str, width: int | None = None
) -> Iterator[tuple[Segment, ...]]:
    """Yield a box with a title.

    :param width: of the column for what is typed; by default as its widest entry needs.
    """
    left_top, across, right_top, side, left_bottom, right_bottom = tuple(box)
    inside = columns - 4
    if width is None:
        width = min(max(len(_joined(typed)) for typed, _ in rows), inside // TERM_SHARE)
    indent = width + GAP if width else 0
    yield ((f"{left_top}{across} {title} ".ljust(columns - 1, across) + right_top, BORDER),)
    for typed, about in rows:
        texts = _folded(about, inside - indent)
        begun = typed
        if len(_joined(typed)) <= width:
            begun = (*typed, (" " * (indent - len(_joined(typed))) + texts.pop(0), ""))
        for segments in (begun, *(((" " * indent + text, ""),) for text in texts)):
            filling = " " * (inside - len(_joined(segments)))
            yield ((f"{side} ", BORDER), *segments, (f"{filling} {side}", BORDER))
    yield ((left_bottom.ljust(columns - 1, across) + right_bottom, BORDER),)


def _examples(examples: Sequence[Example], columns: int) -> Iterator[tuple[Segment, ...]]:
    """Yield each command line, and indented what it does."""
    yield ((" Examples", HEADING),)
    for typed, about in examples:
        yield from _indented(typed, "", 1, columns)
        yield from _indented(about, NOTE, 5, columns)


def _indented(text: str, style: str, indent: int, columns: int) -> Iterator[tuple[Segment, ...]]:
    folded = textwrap.wrap(
        text, columns - indent - 1, break_on_hyphens=False, break_long_words=False
    )
    yield from (((" " * indent + line, style),) for line in folded)
