# SPDX-License-Identifier: GPL-2.0-or-later
"""Write docs/suture.1 from the tree of commands, in man(7)'s macros."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from suture.cli.app import PROGRAM, program

PAGE = Path(__file__).resolve().parent.parent / "docs" / "suture.1"

FOOT = """\
.SH EXIT STATUS
.TP
0
Done.
.TP
1
Refused or failed. The reason is printed with its code; docs/errors.md lists all of them.
.TP
2
Wrong usage.
.SH ENVIRONMENT
.TP
.B XDG_CACHE_HOME
Kernels, prepared source trees and compiled objects are kept in its directory
.I suture
(by default
.IR ~/.cache/suture ).
All of it can be deleted at any time; the next run makes it anew.
.TP
.B SUTURE_CACHE
A cache that several users share, instead; by default
.IR /etc/suture/cache ,
where an administrator has made it. Users who may not write to it find its kernels there, and keep
what they make in their own. See docs/targets.md.
.TP
.B NO_COLOR
Print no colours.
.SH SEE ALSO
.BR modinfo (8),
.BR apt (8),
Documentation/livepatch/ in the kernel's source
"""


def page() -> str:
    """The whole page."""
    root: Any = typer.main.get_command(program())  # typer keeps the types of its commands private
    lines = [
        ".\\\" Made by 'make docs' from the command line itself.",
        f".TH {PROGRAM.upper()} 1",
        ".SH NAME",
        f"{PROGRAM} \\- live patches for stock Linux kernels",
        ".SH SYNOPSIS",
        f".B {PROGRAM}",
        "[\\fIoptions\\fR] \\fIcommand\\fR [\\fIarguments\\fR]",
        ".SH DESCRIPTION",
        *prose(root.help),
        ".SH OPTIONS",
        *options(root),
        ".SH COMMANDS",
        *commands(root, PROGRAM),
    ]
    return "\n".join(lines) + "\n" + FOOT


def commands(group: Any, path: str) -> Iterator[str]:
    """Each command as a subsection, those of a group under the group's name."""
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from commands(command, f"{path} {name}")
            continue
        arguments = " ".join(
            usage(parameter) for parameter in command.params if is_argument(parameter)
        )
        yield f".SS {path} {name} [\\fIoptions\\fR] {arguments}".rstrip()
        yield from prose(command.help)
        yield from options(command)
        if command.epilog:
            yield from [".PP", ".nf", *map(roff, plain(command.epilog).splitlines()), ".fi"]


def options(command: Any) -> Iterator[str]:
    """Arguments and options as tagged paragraphs."""
    for parameter in command.params:
        if getattr(parameter, "hidden", False):
            continue
        yield ".TP"
        if is_argument(parameter):
            yield usage(parameter)
        else:
            value = (
                ""
                if parameter.is_flag
                else f" \\fI{roff(parameter.metavar or parameter.name.upper())}\\fR"
            )
            yield (
                ", ".join(
                    f"\\fB{roff(name)}\\fR" for name in (*parameter.opts, *parameter.secondary_opts)
                )
                + value
            )
        yield roff(" ".join(plain(parameter.help or "").split()))


def is_argument(parameter: Any) -> bool:
    return not any(name.startswith("-") for name in parameter.opts)


def usage(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    many = "..." if parameter.nargs != 1 and not name.endswith("...") else ""
    return f"\\fI{roff(name)}\\fR{many}"


def prose(text: str | None) -> Iterator[str]:
    """Paragraphs of a help text."""
    for number, paragraph in enumerate(inspect.cleandoc(plain(text or "")).split("\n\n")):
        if number:
            yield ".PP"
        yield roff(" ".join(paragraph.split()))


def plain(text: str) -> str:
    """Help text without Rich's markup."""
    return Text.from_markup(text).plain


def roff(text: str) -> str:
    """`text` with what troff would take for a request, an escape or a hyphen made literal."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    PAGE.write_text(page())
