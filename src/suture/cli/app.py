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
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated

import typer

from suture import __version__
from suture.cli import output
from suture.cli.commands import Commands, HelpPart, add, group
from suture.cli.output import PASSING
from suture.errors import Refusal
from suture.host import failures, paths

PROGRAM = "suture"

TYPERS_CTRL_C = 130
"""Typer's exit status when it is interrupted while reading the command line."""


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"{PROGRAM} {__version__}")
        raise typer.Exit


def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Turn a fix for the Linux kernel into a live patch, prove that it fits, and load it into the
    running kernel.

    Exit status: 0 done, 1 refused or failed (with the reason and its code), 2 wrong usage.
    """


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """A command, or a group of commands, and where it is.

    :ivar module: in `suture.cli`; named as the command where nothing is said.
    :ivar function: what runs; the module's name where nothing is said.
    :ivar examples: the name of the module's examples.
    :ivar is_group: the module has an ``app`` with the group's commands.
    """

    name: str
    part: HelpPart
    module: str = ""
    function: str = ""
    examples: str = "EXAMPLES"
    is_group: bool = False

    def add_to(self, app: typer.Typer, *, whole: bool = True) -> None:
        """Import it.

        :param whole: with its arguments and options, which only help for the command itself, and
            running it, have a use for.
        """
        module = import_module(f"suture.cli.{self.module or self.name}")
        if self.is_group:
            added = module.app if whole else group(self.name, module.app.info.help)
            app.add_typer(added, rich_help_panel=self.part)
        else:
            function = getattr(module, self.function or self.name)
            add(app, self.name, function, getattr(module, self.examples), self.part, whole=whole)


COMMANDS = (
    CommandEntry("build", HelpPart.BUILD),
    CommandEntry("test", HelpPart.BUILD),
    CommandEntry("lab", HelpPart.BUILD, is_group=True),
    CommandEntry("convert", HelpPart.BUILD),
    CommandEntry("inspect", HelpPart.BUILD),
    CommandEntry("verify", HelpPart.BUILD),
    CommandEntry("diff", HelpPart.BUILD),
    CommandEntry("kernel", HelpPart.BUILD, is_group=True),
    CommandEntry("load", HelpPart.RUNNING),
    CommandEntry("unload", HelpPart.RUNNING),
    CommandEntry("status", HelpPart.RUNNING),
    CommandEntry("list", HelpPart.RUNNING, function="list_patches"),
    CommandEntry("info", HelpPart.RUNNING),
    CommandEntry("log", HelpPart.RUNNING),
    CommandEntry("recover", HelpPart.RUNNING),
    CommandEntry("force", HelpPart.RUNNING),
    CommandEntry("install", HelpPart.BOOT, "install", "install", "INSTALL_EXAMPLES"),
    CommandEntry("uninstall", HelpPart.BOOT, "install", "uninstall", "UNINSTALL_EXAMPLES"),
    CommandEntry("enable", HelpPart.BOOT, "install", "enable", "ENABLE_EXAMPLES"),
    CommandEntry("disable", HelpPart.BOOT, "install", "disable", "DISABLE_EXAMPLES"),
    CommandEntry("rebuild", HelpPart.BOOT),
    CommandEntry("store", HelpPart.BOOT, is_group=True),
    CommandEntry("key", HelpPart.REST, is_group=True),
    CommandEntry("sign", HelpPart.REST, "key", "sign", "SIGN_EXAMPLES"),
    CommandEntry("doctor", HelpPart.REST),
    CommandEntry("demo", HelpPart.REST),
    CommandEntry("compat", HelpPart.REST, is_group=True),
)
"""In the order of the help page."""


def program(only: str | None = None, *, names: bool = False) -> typer.Typer:
    """The program with all its commands.

    :param only: the one command that is needed; others are not imported.
    :param names: only the names of commands, and what each is for, are needed.
    """
    app = typer.Typer(
        name=PROGRAM,
        cls=Commands,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog=output.examples(
            ("suture doctor", "check what this host lacks"),
            ("suture kernel list", "list the kernels that can be patched"),
            ("suture build fix.patch --kernel 6.1.0-50-amd64", "build a live patch from a fix"),
            ("suture load livepatch_fix.ko", "load it into the running kernel"),
            ("suture status", "see what is in force and what to do next"),
        ),
    )
    app.callback()(root)
    for entry in COMMANDS:
        if only in (None, entry.name):
            entry.add_to(app, whole=not names)
    return app


def wanted(words: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """The command that a command line is about; None where all are needed.

    A shell that completes the words of a command gives the line in a variable (`typer.completion`);
    the last word may be unfinished.
    """
    if any(name.startswith("_SUTURE_COMPLETE") for name in environment):
        line = environment.get("COMP_WORDS") or environment.get("_TYPER_COMPLETE_ARGS") or ""
        words = line.split()[1:] if line[-1:].isspace() else line.split()[1:-1]
    first = next((word for word in words if not word.startswith("-")), None)
    return first if any(entry.name == first for entry in COMMANDS) else None


def join_equals(environment: MutableMapping[str, str]) -> None:
    """Remove the signs between options and values from the line that bash gives to complete.

    Of ``suture build --kernel=6.1`` bash makes the words ``--kernel``, ``=`` and ``6.1``
    (COMP_WORDBREAKS), of which the command line library takes the second for the option's value.
    """
    line, number = environment.get("COMP_WORDS", ""), environment.get("COMP_CWORD", "")
    if "=" not in line or not number.isdigit():
        return
    separator = "\n" if "\n" in line else " "
    words, current = line.split(separator), int(number)
    signs = [
        place
        for place, word in enumerate(words)
        if word == "=" and place != current and words[place - 1].startswith("--")
    ]
    kept = [word for place, word in enumerate(words) if place not in signs]
    environment["COMP_WORDS"] = separator.join(kept)
    environment["COMP_CWORD"] = str(current - sum(place < current for place in signs))


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
            # In addition to Commands.invoke: reading the command line or printing help can fail.
            with failures.refused(words, PASSING):
                return _run(words)
        except Refusal as refusal:
            output.refuse(refusal)
        finally:
            output.json_wanted.reset(json_wanted)
    return 1


def wants_json(words: Sequence[str]) -> bool:
    """Tell whether a command line asks for JSON, wherever the option stands: a wrong option before
    it ends the reading of the line."""
    return "--json" in words[: words.index("--") if "--" in words else len(words)]


def wrong_usage(error: typer.TyperException) -> Refusal:
    """Return what Typer says of a wrong command line as a refusal."""
    from suture.errors import USAGE_WRONG

    path = PROGRAM if (context := getattr(error, "ctx", None)) is None else context.command_path
    found = error.format_message()
    return Refusal(USAGE_WRONG, path, found, remedy=f"See '{path} --help'.")


def _run_for_json(app: typer.Typer, words: Sequence[str]) -> int:
    """Run a command line that asks for JSON; wrong usage is one document too."""
    try:
        status = app(args=words, prog_name=PROGRAM, obj=words, standalone_mode=False)
    except typer.Abort:
        return 1
    except typer.TyperException as error:
        output.json_wanted.set(True)
        output.refuse(wrong_usage(error))
        return error.exit_code
    return status if isinstance(status, int) else 0


def _run(words: Sequence[str]) -> int:
    status = 0
    try:
        join_equals(os.environ)
        command = wanted(words, os.environ)
        app = program(command, names=command is None)
        if wants_json(words):
            status = _run_for_json(app, words)
        else:
            app(args=words, prog_name=PROGRAM, obj=words)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    if status == TYPERS_CTRL_C:
        raise KeyboardInterrupt
    sys.stdout.flush()  # here, where a full disk can still be refused
    return status
