# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture``: the tree of commands, and the exit status of each.

Status 0: done.  1: refused or failed, with the reason on stderr (with ``--json``, as the document on stdout).  2: wrong
usage.

The modules of the commands are all imported here, for help and completion.  They stay cheap to import: what a command
works with, it imports when it runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from suture import __version__
from suture.cli import (
    build,
    compat,
    convert,
    demo,
    diff,
    doctor,
    failures,
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
from suture.cli.progress import for_stderr
from suture.errors import Refusal
from suture.host.progress import reporter

PROGRAM = "suture"

TYPERS_CTRL_C = 130
"""What typer ends with when it is interrupted while it reads the command line."""


class Commands(TyperGroup):
    """A group whose commands end well, refuse, or exit, and nothing else."""

    def invoke(self, ctx: Any) -> Any:  # typer gives its contexts no public type
        token = reporter.set(for_stderr())
        try:
            with failures.refused(ctx.obj):
                return super().invoke(ctx)
        finally:
            reporter.reset(token)


app = typer.Typer(
    name=PROGRAM,
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=output.examples(
        ("suture doctor", "what this host lacks, and how to get it"),
        ("suture kernel list", "which kernels can be patched"),
        ("suture build fix.patch --kernel 6.1.0-50-amd64", "make a live patch of a fix"),
    ),
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Turn a fix for the Linux kernel into a live patch, prove that it fits, and move a running kernel to it.

    Exit status: 0 done, 1 refused or failed (the reason is printed with its code), 2 wrong usage.
    """


def _add(name: str, function: Callable[..., None], examples: Sequence[tuple[str, str]]) -> None:
    app.command(name, help=output.paragraphs(function.__doc__), epilog=output.examples(*examples))(function)


app.add_typer(kernel.app)
_add("build", build.build, build.EXAMPLES)
_add("convert", convert.convert, convert.EXAMPLES)
_add("diff", diff.diff, diff.EXAMPLES)
_add("inspect", inspect.inspect, inspect.EXAMPLES)
_add("test", test.test, test.EXAMPLES)
_add("load", load.load, load.EXAMPLES)
_add("unload", unload.unload, unload.EXAMPLES)
_add("list", list_command.list_patches, list_command.EXAMPLES)
_add("status", status.status, status.EXAMPLES)
_add("info", info.info, info.EXAMPLES)
_add("recover", recover.recover, recover.EXAMPLES)
_add("force", force.force, force.EXAMPLES)
_add("log", log.log, log.EXAMPLES)
_add("install", install.install, install.INSTALL_EXAMPLES)
_add("uninstall", install.uninstall, install.UNINSTALL_EXAMPLES)
_add("enable", install.enable, install.ENABLE_EXAMPLES)
_add("disable", install.disable, install.DISABLE_EXAMPLES)
app.add_typer(store.app)
app.add_typer(key.app)
app.add_typer(compat.app)
_add("sign", key.sign, key.SIGN_EXAMPLES)
_add("demo", demo.demo, demo.EXAMPLES)
_add("doctor", doctor.doctor, doctor.EXAMPLES)


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
            # Once more than in Commands.invoke, for what fails while the command line is read or help is printed.
            with failures.refused(words):
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
