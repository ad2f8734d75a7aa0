# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture``: the command tree and its exit statuses.

Status 0: done.  1: refused or failed, with the reason on stderr (with ``--json``, as the document
on stdout).  2: wrong usage.

Help and completion import every command module here, so these modules must stay cheap to import:
each command imports what it works with when it runs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from suture import __version__
from suture.cli import (
    build,
    compat,
    convert,
    demo,
    diff,
    doctor,
    force,
    info,
    inspect,
    install,
    kernel,
    key,
    load,
    log,
    output,
    recover,
    status,
    store,
    test,
    unload,
)
from suture.cli import list as list_command
from suture.cli.commands import Commands, HelpPart, add
from suture.cli.output import PASSING
from suture.errors import Refusal
from suture.host import failures

PROGRAM = "suture"

TYPERS_CTRL_C = 130
"""Typer's exit status when it is interrupted while reading the command line."""


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


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback()
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


add(app, "build", build.build, build.EXAMPLES, HelpPart.BUILD)
add(app, "test", test.test, test.EXAMPLES, HelpPart.BUILD)
add(app, "convert", convert.convert, convert.EXAMPLES, HelpPart.BUILD)
add(app, "inspect", inspect.inspect, inspect.EXAMPLES, HelpPart.BUILD)
add(app, "diff", diff.diff, diff.EXAMPLES, HelpPart.BUILD)
app.add_typer(kernel.app, rich_help_panel=HelpPart.BUILD)
add(app, "load", load.load, load.EXAMPLES, HelpPart.RUNNING)
add(app, "unload", unload.unload, unload.EXAMPLES, HelpPart.RUNNING)
add(app, "status", status.status, status.EXAMPLES, HelpPart.RUNNING)
add(app, "list", list_command.list_patches, list_command.EXAMPLES, HelpPart.RUNNING)
add(app, "info", info.info, info.EXAMPLES, HelpPart.RUNNING)
add(app, "log", log.log, log.EXAMPLES, HelpPart.RUNNING)
add(app, "recover", recover.recover, recover.EXAMPLES, HelpPart.RUNNING)
add(app, "force", force.force, force.EXAMPLES, HelpPart.RUNNING)
add(app, "install", install.install, install.INSTALL_EXAMPLES, HelpPart.BOOT)
add(app, "uninstall", install.uninstall, install.UNINSTALL_EXAMPLES, HelpPart.BOOT)
add(app, "enable", install.enable, install.ENABLE_EXAMPLES, HelpPart.BOOT)
add(app, "disable", install.disable, install.DISABLE_EXAMPLES, HelpPart.BOOT)
app.add_typer(store.app, rich_help_panel=HelpPart.BOOT)
app.add_typer(key.app, rich_help_panel=HelpPart.REST)
add(app, "sign", key.sign, key.SIGN_EXAMPLES, HelpPart.REST)
add(app, "doctor", doctor.doctor, doctor.EXAMPLES, HelpPart.REST)
add(app, "demo", demo.demo, demo.EXAMPLES, HelpPart.REST)
app.add_typer(compat.app, rich_help_panel=HelpPart.REST)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line.

    :param arguments: without the program's name; those of the process by default.
    :return: the exit status.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    output.json_wanted.set(False)
    failures.end_like_ctrl_c()
    with failures.surviving_streams():
        try:
            # In addition to Commands.invoke: reading the command line or printing help can fail.
            with failures.refused(words, PASSING):
                return _run(words)
        except Refusal as refusal:
            output.refuse(refusal)
    return 1


def _run(words: Sequence[str]) -> int:
    status = 0
    try:
        app(args=words, prog_name=PROGRAM, obj=words)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    if status == TYPERS_CTRL_C:
        raise KeyboardInterrupt
    sys.stdout.flush()  # here, where a full disk can still be refused
    return status
