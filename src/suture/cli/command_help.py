# SPDX-License-Identifier: GPL-2.0-or-later
"""The help of a command: its usage, what it does, and its options in panels.

Typer's layout has a column for each of long names, short names, negative names and types, so that
of 80 columns 20 are left for the text, and types are split inside words.  Here, all that is typed
stands in one column, and the text beside it, or below where it is long::

    --kernel RELEASE        The target, as printed by uname -r; by default the running
                            kernel.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from suture.cli import overview
from suture.cli.output import paragraphs

PANELS_FROM = 10
"""The options with which a command's help has panels; fewer are easier found in one list."""

ARGUMENTS, OPTIONS = "Arguments", "Options"

TERM_SHARE = 3
"""What is typed takes at most this part of the width."""

NARROWEST = 40
"""Columns; in fewer, Typer's own help is used."""

BORDER, NAME, VALUE, NOTE, HEADING = "dim", "bold cyan", "yellow", "dim", "bold"

BOXES = ("╭─╮│╰╯", "+-+|++")
"""The corners and sides of a panel, for an encoding with and without them."""

Segment = tuple[str, str]
"""A text, and its style (of Rich; "" for none)."""


def write(command: Any, context: Any) -> bool:
    """Write the help to stdout.

    :return: False where the terminal is too narrow.
    """
    columns = overview.width()
    is_plain = columns is not None
    if columns is None:
        from suture.host.terminal import console

        columns = console(stderr=False).width
    if columns < NARROWEST:
        return False
    has_boxes = (sys.stdout.encoding or "").lower().startswith("utf")
    made = lines(command, context, columns, BOXES[not has_boxes])
    if is_plain:
        sys.stdout.writelines(f"{_joined(line).rstrip()}\n" for line in made)
        return True
    from rich.text import Text

    from suture.host.terminal import console

    out = console(stderr=False)
    for line in made:
        out.print(Text.assemble(*line), soft_wrap=True, highlight=False)
    return True


def lines(
    command: Any, context: Any, columns: int, box: str = BOXES[0]
) -> Iterator[tuple[Segment, ...]]:
    """Yield the lines of a command's help, none longer than the columns."""
    usage = " ".join(["Usage:", context.command_path, *usage_pieces(command, context)])
    yield ()
    for line in textwrap.wrap(usage, columns - 2, break_on_hyphens=False, subsequent_indent="  "):
        yield ((f" {line}", HEADING),)
    for paragraph in plain(paragraphs(command.help)).split("\n\n"):
        yield ()
        yield from (((f" {line}", ""),) for line in folded(paragraph, columns - 2))
    yield ()
    for title, params in _panels(command.get_params(context)).items():
        rows = [(_term(param), _about(param, context)) for param in params]
        yield from _panel(title, rows, columns, box)
    if command.epilog:
        yield ()
        yield from _epilog(command.epilog, columns)


def usage_pieces(command: Any, context: Any) -> list[str]:
    """Return what follows the command in its usage: ``[OPTIONS] INPUT...``."""
    params = [one for one in command.get_params(context) if _is_argument(one)]
    return ["[OPTIONS]", *map(_usage, params)]


def plain(text: str) -> str:
    """Return the text of help without the escapes for Rich."""
    return text.replace("\\[", "[")


def folded(text: str, columns: int) -> list[str]:
    """Fold a text between words."""
    return textwrap.wrap(text, columns, break_on_hyphens=False) or [""]


def _usage(param: Any) -> str:
    name = _value(param)
    many = "..." if param.nargs != 1 and not name.endswith("...") else ""
    return f"{name}{many}" if param.required else f"[{name}{many}]"


def _is_argument(param: Any) -> bool:
    return not any(name.startswith("-") for name in param.opts)


def _panels(params: Sequence[Any]) -> dict[str, list[Any]]:
    """Return the arguments, and the options under their headings; those without one are last."""
    shown = [param for param in params if not getattr(param, "hidden", False)]
    options = [param for param in shown if not _is_argument(param)]
    found = {ARGUMENTS: [param for param in shown if _is_argument(param)]}
    named: dict[str, list[Any]] = {}
    for option in options:
        title = str(option.rich_help_panel or OPTIONS) if _is_long(options) else OPTIONS
        named.setdefault(title, []).append(option)
    rest = named.pop(OPTIONS, [])
    return {title: of for title, of in {**found, **named, OPTIONS: rest}.items() if of}


def _is_long(options: Sequence[Any]) -> bool:
    return len(options) >= PANELS_FROM


def _term(param: Any) -> tuple[Segment, ...]:
    """Return what is typed: ``--output, -o OUT.ko``."""
    if _is_argument(param):
        return ((_value(param), VALUE),)
    long_first = sorted(param.opts, key=lambda name: not name.startswith("--"))
    names = (", ".join([*long_first, *param.secondary_opts]), NAME)
    return (names,) if param.is_flag else (names, (f" {_value(param)}", VALUE))


def _value(param: Any) -> str:
    return str(param.metavar or param.name.upper().replace("_", "-"))


def _about(param: Any, context: Any) -> str:
    """Return the text of an option, with its default."""
    text = plain(" ".join((param.help or "").split()))
    default = param._extract_default_help_str(ctx=context)
    is_said = isinstance(param.show_default, str)
    if is_said or (default is not None and (param.show_default or context.show_default)):
        shown = param._get_default_string(
            ctx=context, show_default_is_str=is_said, default_value=default
        )
        # 60.0 seconds are 60 seconds.
        text += f" [default: {shown.removesuffix('.0')}]" if shown else ""
    return text


def _panel(
    title: str, rows: Sequence[tuple[tuple[Segment, ...], str]], columns: int, box: str
) -> Iterator[tuple[Segment, ...]]:
    left_top, across, right_top, side, left_bottom, right_bottom = tuple(box)
    inside = columns - 4
    width = min(max(len(_joined(term)) for term, _ in rows), inside // TERM_SHARE)
    head = f"{left_top}{across} {title} "
    yield ((head.ljust(columns - 1, across) + right_top, BORDER),)
    for term, about in rows:
        texts = folded(about, inside - width - overview.GAP)
        if len(_joined(term)) > width:
            yield _row((*term,), inside, side)
        else:
            begun = (*term, (" " * (width + overview.GAP - len(_joined(term))) + texts.pop(0), ""))
            yield _row(begun, inside, side)
        for text in texts:
            yield _row(((" " * (width + overview.GAP) + text, ""),), inside, side)
    yield ((left_bottom.ljust(columns - 1, across) + right_bottom, BORDER),)


def _row(segments: tuple[Segment, ...], inside: int, side: str) -> tuple[Segment, ...]:
    filling = " " * (inside - len(_joined(segments)))
    return ((f"{side} ", BORDER), *segments, (f"{filling} {side}", BORDER))


def _epilog(epilog: str, columns: int) -> Iterator[tuple[Segment, ...]]:
    """Yield the examples: each command line, and what it does, indented."""
    for line in inspect.cleandoc(epilog).splitlines():
        text = plain(_untagged(line))
        indent = " " * (len(text) - len(text.lstrip()) + 1)
        style = HEADING if "[bold]" in line else NOTE if "[dim]" in line else ""
        for part in textwrap.wrap(
            text.strip(), columns - len(indent) - 1, break_on_hyphens=False, break_long_words=False
        ):
            yield ((indent + part, style),)


def _untagged(line: str) -> str:
    for tag in ("[bold]", "[/bold]", "[dim]", "[/dim]"):
        line = line.replace(tag, "")
    return line


def _joined(line: Sequence[Segment]) -> str:
    return "".join(text for text, _ in line)
