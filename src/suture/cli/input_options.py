# SPDX-License-Identifier: GPL-2.0-or-later
"""The options that say how inputs are read, shared by the commands that take a live patch's
source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from suture.cli.option_parts import OptionPart
from suture.formats.recognise import Format

InputFormat = Annotated[
    Format | None,
    typer.Option(
        "--format",
        help="The input format: diff, kpatch, ksplice, kgraft, livepatch, kpatch-object or "
        "suture; by default detected.",
        metavar="FORMAT",
        rich_help_panel=OptionPart.INPUT,
    ),
]
StripLevel = Annotated[
    int | None,
    typer.Option(
        "--strip-level",
        min=0,
        help="Like patch -p; by default detected.",
        metavar="N",
        rich_help_panel=OptionPart.INPUT,
    ),
]
Git = Annotated[
    Path | None,
    typer.Option(
        "--git",
        metavar="DIR",
        readable=False,
        help="Take commits of this git repository: INPUT is a commit or a range, and paths.",
        rich_help_panel=OptionPart.INPUT,
    ),
]
