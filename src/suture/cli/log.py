# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture log``"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from suture.cli.output import Json, emit, table, utc

if TYPE_CHECKING:
    from rich.console import RenderableType

    from suture.core.journal import Record

EXAMPLES = (
    ("suture log", "what was done to this host's kernel, by whom, and what came of it"),
    (
        "suture log --patch livepatch_fix --json | jq '.records[-1].details'",
        "all that is known of the last change",
    ),
)


def log(
    patch: Annotated[
        str, typer.Option("--patch", metavar="NAME", help="Only what concerns this live patch.")
    ] = "",
    lines: Annotated[
        int, typer.Option("--lines", "-n", metavar="N", min=0, help="The last N; 0 for all.")
    ] = 20,
    json: Json = False,
) -> None:
    """Show what was done to the running kernel: who, when, what, and the outcome.

    Each change has two records: its intent before anything is changed, and its outcome. With --json
    both are there, with hashes, times and what the kernel said.
    """
    from suture.core.journal import Journal

    records = Journal().records()
    about = {record.id for record in records if patch in (record.patch, *_replaced(record))}
    found = [record for record in records if not patch or record.id in about]
    chosen = found[-2 * lines :] if lines else found
    emit({"records": chosen}, lambda: for_people(chosen))


def for_people(records: list[Record]) -> RenderableType:
    """Intent and outcome as one line."""
    from suture.core.journal import Phase

    if not records:
        return "Nothing is written down."
    ended = {record.id: record for record in records if record.phase is Phase.OUTCOME}
    begun = {record.id for record in records if record.phase is Phase.INTENT}
    rows = []
    for record in records:
        if record.phase is Phase.INTENT:
            outcome = ended.get(record.id)
            rows.append(_row(record, outcome.result if outcome else "no outcome", outcome))
        elif record.id not in begun:
            rows.append(_row(record, record.result, record))
    return table(("when (UTC)", "who", "what", "live patch", "outcome", ""), rows)


def _row(record: Record, result: str, outcome: Record | None) -> tuple[str, ...]:
    more = _more(outcome) if outcome else ""
    return utc(record.time), record.user, record.operation, record.patch, result, more


def _more(outcome: Record) -> str:
    """What a refusal found, or what went with the change."""
    replaced = _replaced(outcome)
    return (
        f"in place of {', '.join(replaced)}" if replaced else str(outcome.details.get("found", ""))
    )


def _replaced(record: Record) -> list[str]:
    """The live patches whose place one took when it was loaded."""
    names = record.details.get("replaced")
    return [str(name) for name in names] if isinstance(names, list) else []
