# SPDX-License-Identifier: GPL-2.0-or-later
"""Write docs/suture.1 from the tree of commands, in man(7)'s macros."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from suture.cli.app import PROGRAM, program
from suture.cli.commands import Example
from suture.cli.layout import paragraphs, term, value

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
    root = click.Context(program, info_name=PROGRAM)
    lines = [
        ".\\\" Made by 'make docs' from the command line itself.",
        f".TH {PROGRAM.upper()} 1",
        ".SH NAME",
        f"{PROGRAM} \\- live patches for stock Linux kernels",
        ".SH SYNOPSIS",
        f".B {PROGRAM}",
        "[\\fIoptions\\fR] \\fIcommand\\fR [\\fIarguments\\fR]",
        ".SH DESCRIPTION",
        *prose(program.help),
        ".SH OPTIONS",
        *options(program),
        ".SH COMMANDS",
        *commands(root),
    ]
    return "\n".join(lines) + "\n" + FOOT


def commands(group: click.Context) -> Iterator[str]:
    """Each command as a subsection, those of a group under the group's name."""
    assert isinstance(group.command, click.Group)
    for name in group.command.list_commands(group):
        command: Any = group.command.get_command(group, name)
        context = click.Context(command, parent=group, info_name=name)
        if isinstance(command, click.Group):
            yield from commands(context)
            continue
        arguments = " ".join(
            usage(one) for one in command.params if isinstance(one, click.Argument)
        )
        yield f".SS {context.command_path} [\\fIoptions\\fR] {arguments}".rstrip()
        yield from prose(command.help)
        yield from options(command)
        yield from examples(command.examples)


def options(command: click.Command) -> Iterator[str]:
    """Arguments and options as tagged paragraphs."""
    for parameter in command.params:
        yield ".TP"
        if isinstance(parameter, click.Argument):
            yield usage(parameter)
        else:
            names = [f"\\fB{roff(name)}\\fR" for name in term(parameter).split(", ")]
            word = value(parameter)
            yield ", ".join(names) + (f" \\fI{roff(word)}\\fR" if word else "")
        yield roff(" ".join(str(getattr(parameter, "help", "")).split()))


def examples(pairs: Sequence[Example]) -> Iterator[str]:
    """What stands at the end of a command's help."""
    if pairs:
        yield from [".PP", ".nf", "Examples"]
        for typed, about in pairs:
            yield from [roff(f"  {typed}"), roff(f"      {about}")]
        yield ".fi"


def usage(argument: click.Argument) -> str:
    """An argument as it is typed."""
    name = value(argument)
    many = "..." if argument.nargs != 1 and not name.endswith("...") else ""
    return f"\\fI{roff(name)}\\fR{many}"


def prose(text: str | None) -> Iterator[str]:
    """Paragraphs of a help text."""
    for number, paragraph in enumerate(paragraphs(text)):
        if number:
            yield ".PP"
        yield roff(paragraph)


def roff(text: str) -> str:
    """`text` with what troff would take for a request, an escape or a hyphen made literal."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    PAGE.write_text(page())
