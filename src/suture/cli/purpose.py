# SPDX-License-Identifier: GPL-2.0-or-later
"""What a live patch is for: the options ``--title``, ``--cve`` and ``--url`` say it where inputs do
not, and `fix_lines` shows it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from suture.cli.commands import option
from suture.cli.option_parts import OptionPart

if TYPE_CHECKING:
    from suture.builder.fixes import Said
    from suture.model import Fix

title_option = option(
    "--title",
    metavar="TEXT",
    help="What the live patch is for, in one line; by default the title in the patch's mail or "
    "commit.",
    panel=OptionPart.PURPOSE,
)
cve_option = option(
    "--cve",
    metavar="CVE-YEAR-NUMBER",
    multiple=True,
    help="A vulnerability that it closes, besides those that the patch names. Repeatable.",
    panel=OptionPart.PURPOSE,
)
url_option = option(
    "--url",
    metavar="URL",
    multiple=True,
    help="Where to read more, besides the patch's links. Repeatable.",
    panel=OptionPart.PURPOSE,
)

_URL = re.compile(r"https?://\S+")


def said(title: str | None, cves: Sequence[str], urls: Sequence[str]) -> Said:
    """Return what the options say.

    :raises click.BadParameter: for an empty title, or what is no CVE number or web address
    """
    from suture.builder.fixes import Said
    from suture.formats.messages import CVE

    one_line = " ".join((title or "").split())
    if title is not None and not one_line:
        raise click.BadParameter("--title must have text")
    numbers = tuple(cve.upper() for cve in cves)
    for cve in numbers:
        if not CVE.fullmatch(cve):
            raise click.BadParameter(f"--cve takes a number such as CVE-2024-1086, not {cve!r}")
    for url in urls:
        if not _URL.fullmatch(url):
            raise click.BadParameter(f"--url takes a web address, not {url!r}")
    return Said(one_line, numbers, tuple(urls))


def fix_lines(fixes: Sequence[Fix]) -> list[str]:
    """Return what a live patch is for, for people: an indented block for each fix."""
    lines = []
    for fix in fixes:
        commit = f"commit {fix.commit[:12]}" if fix.commit else ""
        said = ", ".join(filter(None, (fix.author, fix.date.partition("T")[0], commit)))
        lines += [f"fixes  {fix}", *([f"       {said}"] if said else [])]
        lines += [f"       Fixes: {named}" for named in fix.fixes]
        lines += [f"       {link}" for link in fix.links]
    return [*lines, ""] if lines else []
