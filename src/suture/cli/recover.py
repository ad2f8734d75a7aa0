# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture recover``"""

from __future__ import annotations

from typing import TYPE_CHECKING

from suture.cli.changing import (
    no_journal_option,
    no_revert_option,
    options,
    timeout_option,
    wait_option,
)
from suture.cli.commands import command
from suture.cli.output import emit, json_option
from suture.host.terminal import printable

if TYPE_CHECKING:
    from suture.core.recover import Recovered

EXAMPLES = (
    ("suture recover", "finish or undo what a killed command or a failed transition left behind"),
    ("suture recover --timeout 300", "wait five minutes for a transition before reversing it"),
)


@command("recover", examples=EXAMPLES)
@timeout_option
@no_revert_option
@wait_option
@no_journal_option
@json_option
def recover(timeout: float, no_revert: bool, wait: float, no_journal: bool) -> None:
    """Finish or undo interrupted changes, so that every live patch is either in force or gone.

    Suture waits for a transition that is under way and reverses it if it does not end; unloads
    modules of live patches that are out of force; and records the actual outcome in the journal. If
    there is nothing to recover, it changes nothing.
    """
    from suture.core.recover import recover as recover_all

    done = recover_all(options(timeout, not no_revert, wait, not no_journal))
    emit(done, lambda: for_people(done))


def for_people(done: Recovered) -> str:
    """The result for people."""
    lines = []
    if done.ended is not None:
        lines.append(
            f"The transition of {done.ended} {'was reversed' if done.reversed else 'ended'}."
        )
    lines += [f"{name} was out of force and is now unloaded." for name in done.unloaded]
    lines += [
        f"{name} is out of force, but something still holds it in memory." for name in done.kept
    ]
    lines += [
        f"Interrupted: {operation} of {patch}; it is {became}."
        for operation, patch, became in done.closed
    ]
    return printable("\n".join(lines or ["There is nothing to recover."]))
