# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture force``"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from suture.cli.changing import NoJournal, Wait, options
from suture.cli.names import InTransition
from suture.cli.output import Json, emit
from suture.host.terminal import console, printable

if TYPE_CHECKING:
    from suture.core.force import Forced

EXAMPLES = (
    ("suture status", "look first which tasks hold the transition up: stopping them is better"),
    ("suture force livepatch_fix", "shows what that gives up, and asks"),
)


def force(
    name: InTransition,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    wait: Wait = 0.0,
    no_journal: NoJournal = False,
    json: Json = False,
) -> None:
    """Declare the transition of a live patch over although tasks have not moved. The last resort.

    The tasks that have not moved go on in the code that they are in, while all others run the other
    one: where the two do not agree on locks or data, the kernel may hang or destroy data. What goes
    out of force by it, the live patch itself or those that it replaces, stays in memory until the
    next boot. Stop the tasks that hold the transition up, or reverse it with 'suture unload',
    rather than this.
    """
    from suture.core import checks
    from suture.core.force import GIVES_UP, waited_for
    from suture.core.force import force as force_transition
    from suture.errors import NOT_CONFIRMED, Refusal

    checks.may_change(f"forcing {name}")
    lines = [f"  {task.line()}" for task in waited_for(name)]
    if not yes:
        console(stderr=True).print(
            printable("\n".join([f"{name} waits for:", *lines, GIVES_UP])), markup=False
        )
        if not sys.stdin.isatty() or not typer.confirm("Force it?", err=True):
            raise Refusal(NOT_CONFIRMED, name, "forcing its transition was not confirmed")
    done = force_transition(name, options(10.0, True, wait, not no_journal))
    emit(done, lambda: for_people(done))


def for_people(done: Forced) -> str:
    from suture.core.change import number

    lines = [f"The transition of {done.name} is over; {number(done.tasks)} had not moved."]
    if done.stays:
        lines.append(f"Out of force, and in memory until the next boot: {', '.join(done.stays)}.")
    return printable("\n".join(lines))
