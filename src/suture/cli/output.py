# SPDX-License-Identifier: GPL-2.0-or-later
"""Output of commands: the result on stdout, everything else on stderr.

- A command has the option `json_option` and calls `emit` once, with a document and with text for
  people.
- Colour and live progress appear only on a terminal, without colour if ``NO_COLOR`` is set.
- Rich is imported only to print, so that ``suture --version`` and shell completion do not wait for
  it.
"""

from __future__ import annotations

import dataclasses
import json as json_format
import os
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING

import click

from suture.cli.commands import option
from suture.errors import Refusal
from suture.host.terminal import PIPE_WIDTH, console, has_rich, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

NOT_SEEN = "BPF programs at replaced functions cannot be seen"
"""Begins the line that says why, and how to make them visible."""

json_wanted: ContextVar[bool] = ContextVar("json_wanted", default=False)
"""Whether the command was given ``--json``."""


def _remember(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    json_wanted.set(wanted)


json_option = option(
    "--json",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_remember,
    help="Print the result as one JSON document on stdout.",
)
"""The option that all commands share.  With it, a refusal is a JSON document as well."""


def emit(document: object, human: Human | Callable[[], Human]) -> None:
    """Print a command's result on stdout.

    :param document: for ``--json``: dictionaries, lists, strings, numbers, dataclasses,
        enumerations and paths.
    :param human: for people, or a function that makes it: text, a `TextTable`, or both in
        `TextParts`.  Text is printed as it is, without Rich's markup.
    """
    if json_wanted.get():
        sys.stdout.write(json_format.dumps(document, indent=2, default=_plain) + "\n")
    else:
        _print(human() if callable(human) else human)
    sys.stdout.flush()


def plain_document(document: object) -> object:
    """Return a document as it is read back from ``--json``."""
    return json_format.loads(json_format.dumps(document, default=_plain))


def _print(human: Human) -> None:
    if not has_rich() or (_is_plain(human) and not sys.stdout.isatty()):
        lines = _plain_text(human).splitlines()
        sys.stdout.write("".join(f"{line.rstrip()}\n" for line in lines or [""]))
        return
    out = console(stderr=False)
    if out.is_terminal:
        out.print(human, markup=False, emoji=False)
        return
    with out.capture() as captured:
        out.print(human, markup=False, emoji=False)
    # Rich fills the lines of a table up to its width.
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def refuse(refusal: Refusal) -> None:
    """Print a refusal: on stderr, or with ``--json`` as the document on stdout."""
    if json_wanted.get():
        sys.stdout.write(json_format.dumps({"error": refusal.as_dict()}, indent=2) + "\n")
        sys.stdout.flush()
        return
    if not has_rich():
        sys.stderr.write(f"{printable(str(refusal))}\n")
        return
    from rich.text import Text

    first, *rest = printable(str(refusal)).splitlines()
    mark, _, found = first.partition(": ")
    text = Text.assemble(
        (mark, "bold red"), (f": {found}", "bold"), *(f"\n{line}" for line in rest)
    )
    console(stderr=True).print(text, soft_wrap=True, highlight=False)


def utc(time: str) -> str:
    """Convert a stored time (ISO 8601, UTC) for people: to the second."""
    return time[:19].replace("T", " ")


@dataclass(frozen=True, slots=True)
class TextTable:
    """A simple table: bold headings, two spaces between columns, no lines."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __rich__(self) -> RenderableType:
        from rich.table import Table
        from rich.text import Text

        made = Table(
            box=None, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold"
        )
        for name in self.columns:
            made.add_column(name, overflow="fold")
        for row in self.rows:
            made.add_row(*map(Text, row))
        return made

    def plain(self) -> str:
        """Return it without colours, unfolded."""
        rows = [self.columns, *self.rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(map(str.ljust, row, widths)) for row in rows)

    @property
    def is_plain(self) -> bool:
        """Whether Rich writes the same to a pipe: it folds longer lines, and knows of wide
        characters."""
        cells = [cell for row in (self.columns, *self.rows) for cell in row]
        lines = self.plain().split("\n")
        return all(cell.isascii() and cell.isprintable() for cell in cells) and all(
            len(line) + 2 <= PIPE_WIDTH for line in lines
        )


@dataclass(frozen=True, slots=True)
class TextParts:
    """Texts and tables, one below the other."""

    parts: tuple[Human, ...]

    def __rich__(self) -> RenderableType:
        from rich.console import Group

        return Group(*self.parts)

    def plain(self) -> str:
        """As `TextTable.plain`."""
        return "\n".join(map(_plain_text, self.parts))

    @property
    def is_plain(self) -> bool:
        """As `TextTable.is_plain`."""
        return all(map(_is_plain, self.parts))


Human = str | TextTable | TextParts
"""What is printed for people."""


def in_parts(*parts: Human) -> TextParts:
    """Texts and tables, one below the other."""
    return TextParts(parts)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> TextTable:
    """A table of texts in which control characters are escaped."""
    return TextTable(tuple(columns), tuple(tuple(map(printable, row)) for row in rows))


def _plain_text(human: Human) -> str:
    return human if isinstance(human, str) else human.plain()


def _is_plain(human: Human) -> bool:
    if not isinstance(human, str):
        return human.is_plain
    lines = human.split("\n")
    return human.isascii() and all(len(line) <= PIPE_WIDTH and line.isprintable() for line in lines)


def _plain(value: object) -> object:
    """Convert a value that `json` cannot write by itself."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, PurePath):
        return os.fspath(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"no JSON form for {type(value).__name__}")
