# SPDX-License-Identifier: GPL-2.0-or-later
"""The option for SUSE's directories of live patches."""

from __future__ import annotations

from typing import Annotated

import typer

from suture.cli.option_parts import OptionPart

Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="NAME",
        help="Of the fixes in a directory of SUSE's, take this one. Repeatable; by default all.",
        rich_help_panel=OptionPart.INPUT,
    ),
]
