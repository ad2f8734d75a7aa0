# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture log``"""

from __future__ import annotations

from typing import TYPE_CHECKING

from suture.cli.commands import Number, command, option
from suture.cli.output import Human, emit, json_option, table, utc

if TYPE_CHECKING:
    from suture.core.journal import Record

EXAMPLES = (
    ("suture log", "show who changed this host's kernel, how, and with what result"),
    (
        "suture log --patch livepatch_fix --json | jq '.records[-1].details'",
        "print all details of the last change",
    ),
)


@command("log", examples=EXAMPLES)
@option("--patch", metavar="NAME", default="", help="Show only changes of this live patch.")
@option(
    "--lines",
    "-n",
    metavar="N",
    type=Number(min=0),
    default=20,
    help="Show the last N; 0 for all.",
)
@json_option
def log(patch: str, lines: int) -> None:
    """Show who did what to the running kernel, when, and with what result.

    A line marks each reboot between two changes, and what a boot loaded is marked too.

    Each change has two records: the intent, written before anything changes, and the outcome.
    --json prints both, with hashes, times and the kernel's messages.
    """
    from suture.core.journal import Journal

    records = Journal().records()
    about = {record.id for record in records if patch in (record.patch, *_replaced(record))}
    found = [record for record in records if not patch or record.id in about]
    chosen = found[-2 * lines :] if lines else found
    emit({"records": chosen}, lambda: for_people(chosen))


def for_people(records: list[Record]) -> Human:
    """A table with intent and outcome on one line."""
    from suture.core.journal import RecordPhase

    if not records:
        return "The journal is empty."
    ended = {record.id: record for record in records if record.phase is RecordPhase.OUTCOME}
    begun = {record.id for record in records if record.phase is RecordPhase.INTENT}
    rows: list[tuple[str, ...]] = []
    boot = records[0].boot
    for record in records:
        if record.boot != boot:
            rows.append(("", "", "reboot", "", "", ""))
            boot = record.boot
        if record.phase is RecordPhase.INTENT:
            outcome = ended.get(record.id)
            rows.append(_row(record, outcome.result if outcome else "no outcome", outcome))
        elif record.id not in begun:
            rows.append(_row(record, record.result, record))
    return table(("when (UTC)", "who", "what", "live patch", "outcome", ""), rows)


def _row(record: Record, result: str, outcome: Record | None) -> tuple[str, ...]:
    more = (_more(outcome) if outcome else "") or _fixes(record)
    cause = record.details.get("cause")
    who = f"{record.user} ({cause})" if cause else record.user
    return utc(record.time), who, record.operation, record.patch, result, more


def _more(outcome: Record) -> str:
    """What a refusal found, or which live patches the change replaced."""
    replaced = _replaced(outcome)
    return (
        f"in place of {', '.join(replaced)}" if replaced else str(outcome.details.get("found", ""))
    )


def _fixes(record: Record) -> str:
    """What the live patch is for that was loaded."""
    fixes = record.details.get("fixes")
    return "; ".join(map(str, fixes)) if isinstance(fixes, list) else ""


def _replaced(record: Record) -> list[str]:
    """The live patches that this one replaced when it was loaded."""
    names = record.details.get("replaced")
    return [str(name) for name in names] if isinstance(names, list) else []
