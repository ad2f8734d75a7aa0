# SPDX-License-Identifier: GPL-2.0-or-later
"""How commands, groups of commands and their parameters are declared.

This is click's own way with what click 8.1 lacks: help for arguments, headings for options,
examples for commands, and the layout of `suture.cli.layout`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import click

from suture.cli.option_parts import OptionPart

Example = tuple[str, str]
"""A command line, and what it does."""

Declared = TypeVar("Declared", bound=Callable[..., Any])
"""A function that is becoming a command."""

PATH = click.Path(readable=False, path_type=Path)
"""A file or a directory; whoever reads it says what is wrong with it."""


class OneOf(click.Choice):  # type: ignore[type-arg]  # click 8.1 has no type arguments
    """A member of an enumeration, given by its value."""

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__([member.value for member in kind])
        self.kind = kind

    def convert(self, value: Any, param: Any, ctx: Any) -> StrEnum:
        """Return the member that a word names."""
        return self.kind(super().convert(value, param, ctx))


class Number(click.IntRange):
    """A whole number."""

    name = "number"


class Seconds(click.FloatRange):
    """A number of seconds, which "nan" is not."""

    name = "number of seconds"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Return the number that a word names."""
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a valid {self.name}.", param, ctx)
        return seconds


class Percent(click.FloatRange):
    """A share of a whole, which "nan" is not."""

    name = "number of percent"

    def __init__(self) -> None:
        super().__init__(0, 100)

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Return the number that a word names."""
        percent = super().convert(value, param, ctx)
        if math.isnan(percent):
            self.fail(f"{value!r} is not a valid {self.name}.", param, ctx)
        return percent


class Argument(click.Argument):
    """An argument with help.

    :ivar help: what it is for.
    :ivar default_shown: the default that help shows; None for none.
    """

    def __init__(self, *names: Any, help: str, **attributes: Any) -> None:
        super().__init__(*names, **attributes)
        self.help = help
        self.default_shown = attributes.get("default")

    @property
    def usage(self) -> str:
        """How it stands in the usage of its command: ``[FILE...]``."""
        name = str(self.metavar or self.human_readable_name)
        many = "..." if self.nargs != 1 and not name.endswith("...") else ""
        return f"{name}{many}" if self.required else f"[{name}{many}]"

    def get_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return what stands for it in the usage of its command."""
        return [self.usage]


class Option(click.Option):
    """An option that may stand under a heading.

    :ivar panel: the heading; None for that of all other options.
    :ivar default_shown: the default that help shows; None for none.
    """

    def __init__(self, *names: Any, panel: OptionPart | None = None, **attributes: Any) -> None:
        super().__init__(*names, **attributes)
        self.panel = panel
        self.default_shown = attributes.get("default")


def argument(name: str, **attributes: Any) -> Callable[[Declared], Declared]:
    """Declare an argument; the attributes are those of `Argument`."""
    # click 8.1.3 takes "cls" out of the attributes of a decorator when it is first used.
    return lambda function: click.argument(name, cls=Argument, **attributes)(function)


def option(*names: str, **attributes: Any) -> Callable[[Declared], Declared]:
    """Declare an option; the attributes are those of `Option`."""
    return click.option(*names, cls=Option, **attributes)


class _Documented(click.Command):
    """What commands and groups have in common.

    :ivar examples: shown at the end of its help.
    """

    def __init__(self, *names: Any, examples: tuple[Example, ...] = (), **attributes: Any) -> None:
        super().__init__(*names, **attributes)
        self.examples = examples

    def get_help(self, ctx: click.Context) -> str:
        """Return its help, for the width and the encoding of stdout."""
        from suture.cli import layout

        return layout.page(self, ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words after it."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            # click leaves this out where an option has a value too much or too few.
            error.ctx = error.ctx or ctx
            raise


class Command(_Documented):
    """A command."""


class Group(_Documented, click.Group):
    """A group of commands, listed in the order of their declaration."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of its commands."""
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words after it; without any, show its help as wrong usage."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), color=ctx.color)
            ctx.exit(2)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first word names, and the other words."""
        name = args[0]
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            from difflib import get_close_matches

            guesses = " or ".join(map(repr, get_close_matches(name, self.list_commands(ctx))))
            guessed = f" Did you mean {guesses}?" if guesses else ""
            ctx.fail(f"No such command {name!r}.{guessed}")
        return super().resolve_command(ctx, args)


def command(name: str, **attributes: Any) -> Callable[[Callable[..., None]], Command]:
    """Make a function a command.  Its help is the function's docstring."""
    return click.command(name, cls=Command, **attributes)


def group(name: str, about: str, *examples: Example) -> Group:
    """Create a group of commands, such as ``suture kernel``."""
    return Group(name, help=about, examples=examples)
