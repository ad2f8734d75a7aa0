# SPDX-License-Identifier: GPL-2.0-or-later
"""The options ``--accept CODE:NAME`` and ``--because REASON`` of commands that build."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from suture.cli.option_parts import OptionPart
from suture.errors import Acceptance

Accept = Annotated[
    list[str] | None,
    typer.Option(
        "--accept",
        metavar="CODE:NAME",
        help="Build in spite of this danger, which a refusal names. Repeatable, each with its "
        "--because.",
        rich_help_panel=OptionPart.DECISIONS,
    ),
]
Because = Annotated[
    list[str] | None,
    typer.Option(
        "--because",
        metavar="REASON",
        help="Why the danger before it is accepted; the module keeps the reason.",
        rich_help_panel=OptionPart.DECISIONS,
    ),
]


def acceptances(
    accepted: Sequence[str] | None, reasons: Sequence[str] | None
) -> tuple[Acceptance, ...]:
    """Pair each accepted finding with its reason; one reason may stand for all.

    :raises typer.BadParameter: for a finding without a reason, a reason without a finding, or what
        is not ``CODE:NAME``
    """
    given = list(accepted or ())
    texts = [reason.strip() for reason in reasons or ()]
    if len(texts) == 1:
        texts *= len(given)
    if len(texts) != len(given) or not all(texts) or (reasons and not given):
        raise typer.BadParameter("--accept and --because must be given together, each with text")
    return tuple(_parse(one, reason) for one, reason in zip(given, texts, strict=True))


def _parse(given: str, reason: str) -> Acceptance:
    code, colon, name = given.partition(":")
    if not (code and colon and name):
        raise typer.BadParameter(f"--accept takes CODE:NAME, as a refusal names it, not {given!r}")
    return Acceptance(code, name, reason)
