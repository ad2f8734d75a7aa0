# SPDX-License-Identifier: GPL-2.0-or-later
"""The comparison with this host's memory, as a report has it."""

from __future__ import annotations

from collections.abc import Iterator

from suture.report.content import LiveMemory, LiveRow
from suture.report.words import count
from suture.verify.live.outcome import LiveCheck, LiveOutcome

LIVE_HEADING = "In this host's memory"
LIVE_COLUMNS = ("Function", "Object", "Role", "Address", "Result", "Written by the kernel")

SAME, DIFFERS, NOT_COMPARED = "same", "differs", "not compared"


def live_memory(live: LiveOutcome) -> LiveMemory:
    """Return the comparison as values of a report."""
    move = "" if live.because else f"{live.move:#x}"
    return LiveMemory(live.because, move, tuple(map(_row, live.checks)))


def _row(check: LiveCheck) -> LiveRow:
    result = check.result
    rewritten = result.rewritten.items() if result is not None else ()
    return LiveRow(
        check.role.value,
        check.objname,
        check.function,
        f"{check.address:#x}" if check.address else "",
        0 if result is None else result.size,
        NOT_COMPARED if result is None else DIFFERS if check.differs else SAME,
        check.because,
        tuple(f"{what} ({number})" for what, number in rewritten),
        check.tracer,
        check.probes,
        tuple(check.evidence()),
    )


def live_shown(live: LiveOutcome) -> Iterator[str]:
    """Yield what the comparison shows, as sentences."""
    compared = [one for one in live.checks if one.result is not None and not one.differs]
    if compared:
        size = sum(one.result.size for one in compared if one.result is not None)
        yield (
            f"{count(len(compared), 'function')} ({size:,} bytes) that the module replaces or "
            "reaches: the code in this host's memory is the shipped one, with what the kernel "
            "itself writes into it."
        )


def live_not_shown(live: LiveOutcome) -> Iterator[str]:
    """Yield what the comparison could not show, as sentences."""
    if live.because:
        yield f"The code in memory: not compared, because {live.because}."
    reasons = dict.fromkeys(one.because for one in live.checks if one.because)
    for reason in reasons:
        number = sum(one.because == reason for one in live.checks)
        yield f"The code of {count(number, 'function')} in memory: not compared, because {reason}."


def live_said(live: LiveMemory) -> str:
    """Return what was compared, in a sentence or two."""
    if live.because:
        return f"Not compared, because {live.because}."
    return (
        f"The kernel moved itself by {live.move} at boot. Each byte is compared with the shipped "
        "image, and each place that the kernel writes to with what it writes there."
    )


def live_table(live: LiveMemory) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each row, for `LIVE_COLUMNS`."""
    for row in live.rows:
        result = "; ".join(filter(None, (row.verdict, row.because, *row.differences)))
        written = [*row.rewritten]
        written += [f"calls {row.tracer}"] if row.tracer else []
        written += [f"probe {name}" for name in row.probes]
        name = f"{row.function}()"
        yield name, row.objname, row.role, row.address, result, ", ".join(written)


def live_notes(live: LiveMemory | None) -> Iterator[str]:
    """Yield what an administrator wants to know besides the verdict: who else hooks into the
    functions."""
    for row in live.rows if live is not None else ():
        place = f"{row.objname}: {row.function}()"
        if row.tracer:
            yield f"{place} calls {row.tracer} at its entry"
        for name in row.probes:
            yield f"{place} has somebody's probe at {name}"
