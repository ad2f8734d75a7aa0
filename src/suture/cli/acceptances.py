# SPDX-License-Identifier: GPL-2.0-or-later
"""The options ``--accept CODE:NAME`` and ``--because REASON`` of commands that build."""

from __future__ import annotations

from collections.abc import Sequence

import click

from suture.cli.commands import option
from suture.cli.option_parts import OptionPart
from suture.errors import Acceptance

accept_option = option(
    "--accept",
    metavar="CODE:NAME",
    multiple=True,
    help="Build in spite of this danger, which a refusal names. Repeatable, each with its "
    "--because.",
    panel=OptionPart.DECISIONS,
)
because_option = option(
    "--because",
    metavar="REASON",
    multiple=True,
    help="Why the danger before it is accepted; the module keeps the reason.",
    panel=OptionPart.DECISIONS,
)


def acceptances(accepted: Sequence[str], reasons: Sequence[str]) -> tuple[Acceptance, ...]:
    """Pair each accepted finding with its reason; one reason may stand for all.

    :raises click.BadParameter: for a finding without a reason, a reason without a finding, or what
        is not ``CODE:NAME``
    """
    texts = [reason.strip() for reason in reasons]
    if len(texts) == 1:
        texts *= len(accepted)
    if len(texts) != len(accepted) or not all(texts) or (reasons and not accepted):
        raise click.BadParameter("--accept and --because must be given together, each with text")
    return tuple(_parse(one, reason) for one, reason in zip(accepted, texts, strict=True))


def _parse(given: str, reason: str) -> Acceptance:
    code, colon, name = given.partition(":")
    if not (code and colon and name):
        raise click.BadParameter(f"--accept takes CODE:NAME, as a refusal names it, not {given!r}")
    return Acceptance(code, name, reason)
