# SPDX-License-Identifier: GPL-2.0-or-later
"""How a command or a group of them is made and run, and the parts of the work under which help
lists them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from suture.cli import output
from suture.cli.output import PASSING
from suture.host import failures
from suture.host.progress import reporter
from suture.host.reporters import for_stderr


class Part(StrEnum):
    """In the order of help."""

    BUILD = "Build and test"
    RUNNING = "The running kernel"
    BOOT = "Across reboots"
    REST = "Keys, and around"


def _without_type(params: list[Any]) -> list[Any]:
    """Flags as help shows them: typer would write ``<bool>`` behind each, as if one were to be
    given."""
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
    return params


class Command(TyperCommand):
    def get_params(
        self, ctx: Any
    ) -> list[Any]:  # typer gives its contexts and parameters no public type
        return _without_type(super().get_params(ctx))


class Group(TyperGroup):
    def get_params(self, ctx: Any) -> list[Any]:
        return _without_type(super().get_params(ctx))


class Commands(Group):
    """All of them: each ends well, refuses, or exits, and nothing else."""

    def invoke(self, ctx: Any) -> Any:
        token = reporter.set(for_stderr())
        try:
            with failures.refused(ctx.obj, PASSING):
                return super().invoke(ctx)
        finally:
            reporter.reset(token)


def group(name: str, about: str, *examples: tuple[str, str]) -> typer.Typer:
    """Commands below one word."""
    return typer.Typer(
        name=name, cls=Group, no_args_is_help=True, help=about, epilog=output.examples(*examples)
    )


def add(
    to: typer.Typer,
    name: str,
    function: Callable[..., None],
    examples: Sequence[tuple[str, str]] = (),
    part: Part | None = None,
) -> None:
    """A command, whose help is its function's docstring."""
    to.command(
        name,
        cls=Command,
        help=output.paragraphs(function.__doc__),
        epilog=output.examples(*examples) if examples else None,
        rich_help_panel=part,
    )(function)
