# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture recover``"""

from __future__ import annotations

from typing import TYPE_CHECKING

from suture.cli.changing import NoJournal, NoRevert, Timeout, Wait, options
from suture.cli.output import Json, emit
from suture.host.terminal import printable

if TYPE_CHECKING:
    from suture.core.recover import Recovered

EXAMPLES = (
    ("suture recover", "finish or undo what a killed command or a failed transition has left"),
    ("suture recover --timeout 300", "give a transition five minutes more before it is reversed"),
)


def recover(
    timeout: Timeout = 60.0,
    no_revert: NoRevert = False,
    wait: Wait = 0.0,
    no_journal: NoJournal = False,
    json: Json = False,
) -> None:
    """Finish or undo what was interrupted, so that every live patch is either in force or gone.

    A transition under way is waited for, and reversed if it does not end; modules of live patches
    that are out of force are unloaded; and the journal gets the outcome that is true. Where nothing
    is to be done, nothing is changed.
    """
    from suture.core.recover import recover as recover_all

    done = recover_all(options(timeout, not no_revert, wait, not no_journal))
    emit(done, lambda: for_people(done))


def for_people(done: Recovered) -> str:
    lines = []
    if done.ended is not None:
        lines.append(
            f"The transition of {done.ended} {'was reversed' if done.reversed else 'has ended'}."
        )
    lines += [f"{name} was out of force and is unloaded." for name in done.unloaded]
    lines += [
        f"{name} is out of force, and something still holds it in memory." for name in done.kept
    ]
    lines += [
        f"Interrupted: {operation} of {patch}; it is {became}."
        for operation, patch, became in done.closed
    ]
    return printable("\n".join(lines or ["There is nothing to recover."]))
