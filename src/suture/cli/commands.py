# SPDX-License-Identifier: GPL-2.0-or-later
"""Creates and runs commands and groups of commands; defines the headings under which help lists
them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from suture.cli import output
from suture.cli.output import PASSING
from suture.host import failures
from suture.host.progress import Silent, reporter
from suture.host.reporters import for_stderr


class HelpPart(StrEnum):
    """The headings, in the order of the help page."""

    BUILD = "Build and test"
    RUNNING = "The running kernel"
    BOOT = "Across reboots"
    REST = "Keys and setup"


def _without_type(params: list[Any]) -> list[Any]:
    """Remove the ``<bool>`` that Typer's help shows after each flag, as if it took a value."""
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
    return params


class Command(TyperCommand):
    """A command with plain flags in its help."""

    def get_params(
        self, ctx: Any
    ) -> list[Any]:  # typer gives its contexts and parameters no public type
        return _without_type(super().get_params(ctx))


class Group(TyperGroup):
    """A group of commands with plain flags in its help."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_type(super().get_params(ctx))


class Commands(Group):
    """The root group: every command succeeds, refuses or exits; no other exception escapes.

    Steps are shown on stderr, unless the caller has set a reporter of its own (`bench.child`).
    """

    def invoke(self, ctx: Any) -> Any:
        current = reporter.get()
        token = reporter.set(for_stderr() if isinstance(current, Silent) else current)
        try:
            with failures.refused(ctx.obj, PASSING):
                return super().invoke(ctx)
        finally:
            reporter.reset(token)


def group(name: str, about: str, *examples: tuple[str, str]) -> typer.Typer:
    """Create a group of commands, such as ``suture kernel``."""
    return typer.Typer(
        name=name, cls=Group, no_args_is_help=True, help=about, epilog=output.examples(*examples)
    )


def add(
    to: typer.Typer,
    name: str,
    function: Callable[..., None],
    examples: Sequence[tuple[str, str]] = (),
    part: HelpPart | None = None,
) -> None:
    """Add a command.  Its help is the function's docstring."""
    to.command(
        name,
        cls=Command,
        help=output.paragraphs(function.__doc__),
        epilog=output.examples(*examples) if examples else None,
        rich_help_panel=part,
    )(function)
