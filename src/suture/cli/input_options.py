# SPDX-License-Identifier: GPL-2.0-or-later
"""The options that say how inputs are read, shared by the commands that take a live patch's
source."""

from __future__ import annotations

from suture.cli.commands import PATH, Number, OneOf, option
from suture.cli.option_parts import OptionPart
from suture.formats.recognise import Format

format_option = option(
    "--format",
    metavar="FORMAT",
    type=OneOf(Format),
    help="The input format: diff, kpatch, ksplice, kgraft, livepatch, kpatch-object or "
    "suture; by default detected.",
    panel=OptionPart.INPUT,
)
strip_level_option = option(
    "--strip-level",
    metavar="N",
    type=Number(min=0),
    help="Like patch -p; by default detected.",
    panel=OptionPart.INPUT,
)
git_option = option(
    "--git",
    metavar="DIR",
    type=PATH,
    help="Take commits of this git repository: INPUT is a commit or a range, and paths.",
    panel=OptionPart.INPUT,
)
