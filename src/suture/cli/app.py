# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture``: the command tree and its exit statuses.

Status 0: done.  1: refused or failed, with the reason on stderr (with ``--json``, as the document
on stdout).  2: wrong usage, with ``--json`` as a document too.

A command line imports the module of its own command; help imports all of them, so these modules
must stay cheap to import: each command imports what it works with when it runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from suture import __version__
from suture.cli import output, shells
from suture.cli.commands import Group, option
from suture.errors import Refusal
from suture.host import failures, paths, pipes
from suture.host.progress import Silent, reporter
from suture.host.terminal import wants_colours

PROGRAM = "suture"

HEADINGS = {
    "Build and test": (
        *("build", "test", "lab", "convert", "inspect", "verify", "diff", "kernel"),
        "fixes",
    ),
    "The running kernel": (
        *("load", "unload", "status", "list", "info", "coverage", "log", "recover", "force"),
        *("uname", "vex"),
    ),
    "Across reboots": ("install", "uninstall", "enable", "disable", "rebuild", "store"),
    "Repositories": ("repo", "follow"),
    "Fleets": ("rollout", "fleetlock"),
    "Keys and setup": ("key", "sign", "doctor", "demo", "compat"),
}
"""The commands, and groups of them, in the order of the help page."""

PLACES = {
    "list": ("list", "list_patches"),
    "uninstall": ("install", "uninstall"),
    "enable": ("install", "enable"),
    "disable": ("install", "disable"),
    "sign": ("key", "sign"),
}
"""The module in `suture.cli`, and the name in it, of commands for which these are not the
command's own name."""


class RootGroup(Group):
    """The root of the tree, which imports a command when it is needed."""

    headings = HEADINGS

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return [*(name for names in HEADINGS.values() for name in names), *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if not any(cmd_name in names for names in HEADINGS.values()):
            return super().get_command(ctx, cmd_name)
        module, name = PLACES.get(cmd_name, (cmd_name, cmd_name))
        found: click.Command = getattr(import_module(f"suture.cli.{module}"), name)
        return found


@click.command(
    PROGRAM,
    cls=RootGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    examples=(
        ("suture doctor", "check what this host lacks"),
        ("suture kernel list", "list the kernels that can be patched"),
        ("suture build fix.patch --kernel 6.1.0-50-amd64", "build a live patch from a fix"),
        ("suture load livepatch_fix.ko", "load it into the running kernel"),
        ("suture status", "see what is in force and what to do next"),
    ),
)
@click.version_option(
    __version__, message=f"{PROGRAM} %(version)s", help="Print the version and exit."
)
@option(
    "--install-completion",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=shells.install_wanted,
    help="Install completion for the current shell.",
)
@option(
    "--show-completion",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=shells.show_wanted,
    help="Show completion for the current shell, to copy it or customize the installation.",
)
def program() -> None:
    """Turn a fix for the Linux kernel into a live patch, prove that it fits, and load it into the
    running kernel.

    Exit status: 0 done, 1 refused or failed (with the reason and its code), 2 wrong usage.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line.

    :param arguments: without the program's name; those of the process by default.
    :return: the exit status.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    json_wanted = output.json_wanted.set(False)
    failures.end_like_ctrl_c()
    paths.share_with_group()
    with failures.surviving_streams():
        try:
            with failures.refused(words):
                status = _run(words)
                sys.stdout.flush()  # here, where a full disk can still be refused
                return status
        except Refusal as refusal:
            output.refuse(refusal)
        finally:
            output.json_wanted.reset(json_wanted)
    return 1


def wants_json(words: Sequence[str]) -> bool:
    """Tell whether a command line asks for JSON, wherever the option stands: a wrong option before
    it ends the reading of the line."""
    return "--json" in words[: words.index("--") if "--" in words else len(words)]


def _run(words: Sequence[str]) -> int:
    """Read the command line, or what a shell asks, and do what it says."""
    if shells.ASKED in os.environ:
        return shells.answer(program)
    colours = wants_colours()
    try:
        with program.make_context(PROGRAM, list(words), color=colours) as context:
            _invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.Abort:
        click.echo("Aborted.", err=True)
        return 1
    except click.ClickException as error:
        if wants_json(words):
            output.json_wanted.set(True)
            output.refuse(_usage_refusal(error))
        else:
            from suture.cli import layout

            click.echo(layout.wrong_usage(error), err=True, color=colours)
        return error.exit_code
    return 0


def _invoke(context: click.Context) -> None:
    """Run the command.  Steps are shown on stderr, unless the caller has set a reporter of its own
    (`bench.child`)."""
    from suture.host.reporters import for_stderr

    current = reporter.get()
    token = reporter.set(for_stderr() if isinstance(current, Silent) else current)
    try:
        with pipes.kept():
            program.invoke(context)
    finally:
        reporter.reset(token)


def _usage_refusal(error: click.ClickException) -> Refusal:
    """Return what click says about a wrong command line as a refusal."""
    from suture.errors import USAGE_WRONG

    context: Any = getattr(error, "ctx", None)
    path = PROGRAM if context is None else context.command_path
    return Refusal(USAGE_WRONG, path, error.format_message(), remedy=f"See '{path} --help'.")
