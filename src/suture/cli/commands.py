# SPDX-License-Identifier: GPL-2.0-or-later
"""Creates and runs commands and groups of commands; defines the headings under which help lists
them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperGroup

from suture.cli import output
from suture.cli.output import PASSING
from suture.host import failures, pipes
from suture.host.progress import Silent, reporter


class HelpPart(StrEnum):
    """The headings, in the order of the help page."""

    BUILD = "Build and test"
    RUNNING = "The running kernel"
    BOOT = "Across reboots"
    REST = "Keys and setup"


class WordConverter:
    """Converts the words of an argument or option where nothing about them can be wrong.

    Typer converts all of them through pydantic, whose import takes longer than all of ``suture
    status``.  It still converts numbers and choices that are given, and explains what is wrong with
    them.

    :param param: Typer's argument or option.
    """

    def __init__(self, param: Any) -> None:
        annotation = param.type_descriptor.annotation
        self.is_list = get_origin(annotation) is list
        self.type = get_args(annotation)[0] if self.is_list else annotation

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """What Typer calls; see `typer.core`."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if self.type in (str, Path):
            return [self.type(one) for one in value] if self.is_list else self.type(value)
        if not self.is_list and isinstance(value, self.type) and value == param.default:
            return value
        param._runtime_param = None  # Typer makes its own
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)


def _prepared(params: list[Any]) -> list[Any]:
    """Give parameters our converter, and remove the ``<bool>`` that Typer's help shows after each
    flag, as if it took a value."""
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
        if getattr(param, "_runtime_param", param) is None:
            param._runtime_param = WordConverter(param)
    return params


class Command(TyperCommand):
    """A command with our own layout of its help."""

    # typer gives its contexts and parameters no public type.
    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters; flags have no metavar."""
        return _prepared(super().get_params(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what follows the command in its usage."""
        from suture.cli.command_help import usage_pieces

        return usage_pieces(self, ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help to stdout; where the terminal is too narrow, Typer's to `formatter`."""
        from suture.cli.command_help import write

        if not write(self, ctx):
            super().format_help(ctx, formatter)


class Group(TyperGroup):
    """A group of commands with plain flags in its help."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters; flags have no metavar."""
        return _prepared(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the overview of all commands to stdout where it fits, else typer's help to
        `formatter`."""
        from suture.cli import overview

        columns = overview.width()
        text = None if columns is None else overview.text(self, ctx, columns)
        if text is None:
            super().format_help(ctx, formatter)
        else:
            sys.stdout.write(text)


class Commands(Group):
    """The root group: every command succeeds, refuses or exits; no other exception escapes.

    Steps are shown on stderr, unless the caller has set a reporter of its own (`bench.child`).
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and return what it returns.

        :raises Refusal: every error of the command
        """
        from suture.host.reporters import for_stderr

        current = reporter.get()
        token = reporter.set(for_stderr() if isinstance(current, Silent) else current)
        try:
            with failures.refused(ctx.obj, PASSING), pipes.kept():
                return super().invoke(ctx)
        finally:
            reporter.reset(token)


def group(name: str, about: str, *examples: tuple[str, str]) -> typer.Typer:
    """Create a group of commands, such as ``suture kernel``."""
    return typer.Typer(
        name=name, cls=Group, no_args_is_help=True, help=about, epilog=output.examples(*examples)
    )


def _listed() -> None:
    """Stands for a command that is not run."""


def add(
    to: typer.Typer,
    name: str,
    function: Callable[..., None],
    examples: Sequence[tuple[str, str]] = (),
    part: HelpPart | None = None,
    *,
    whole: bool = True,
) -> None:
    """Add a command.  Its help is the function's docstring.

    :param whole: with the function's arguments and options; without them it is to be listed only.
    """
    to.command(
        name,
        cls=Command,
        help=output.paragraphs(function.__doc__),
        epilog=output.examples(*examples) if examples else None,
        rich_help_panel=part,
    )(function if whole else _listed)
