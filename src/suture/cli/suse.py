# SPDX-License-Identifier: GPL-2.0-or-later
"""The option for SUSE's directories of live patches."""

from __future__ import annotations

from suture.cli.commands import option
from suture.cli.option_parts import OptionPart

only_option = option(
    "--only",
    metavar="NAME",
    multiple=True,
    help="Of the fixes in a directory of SUSE's, take this one. Repeatable; by default all.",
    panel=OptionPart.INPUT,
)
