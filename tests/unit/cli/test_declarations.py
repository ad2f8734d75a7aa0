# SPDX-License-Identifier: GPL-2.0-or-later
"""Each command's function takes what its decorators declare, in the same order and of the types
that they give: mypy does not see that."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import fields

import click
import pytest

from suture.cli import app
from suture.cli.commands import PATH, Number, OneOf, Percent, Seconds
from suture.cli.decisions import Decided
from suture.cli.fleet_options import StatePlace

TOGETHER = {kind.__name__: fields(kind) for kind in (Decided, StatePlace)}
"""Values that stand for several options."""


def below(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Yield every command that is no group."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from below(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS = dict(below(app.program, "suture"))


def given_type(param: click.Parameter) -> str:
    """Return the type of a parameter's value, as an annotation names it."""
    kind = param.type
    base = {Number: "int", Percent: "float", Seconds: "float"}.get(type(kind), "str")
    if isinstance(kind, OneOf):
        base = kind.kind.__name__
    elif kind is PATH:
        base = "Path"
    elif isinstance(param, click.Option) and param.is_bool_flag:
        base = "bool"
    is_flag = isinstance(param, click.Option) and param.is_flag and not param.secondary_opts
    if param.nargs == -1 or param.multiple:
        return f"tuple[{base}, ...]"
    has_value = param.required or is_flag or getattr(param, "default_shown", None) is not None
    return base if has_value else f"{base} | None"


@pytest.mark.parametrize("path", COMMANDS)
def test_the_function_takes_what_is_declared(path: str) -> None:
    command = COMMANDS[path]
    assert command.callback is not None
    signature = inspect.signature(command.callback)
    taken: dict[str, str] = {}
    for name, param in signature.parameters.items():
        together = TOGETHER.get(param.annotation, ())
        taken |= {one.name: str(one.type) for one in together} or {name: param.annotation}
    given = {one.name: given_type(one) for one in command.params if one.expose_value}
    assert list(taken.items()) == list(given.items())
