# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture force``"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from suture.cli.changing import no_journal_option, options, wait_option
from suture.cli.commands import command, option
from suture.cli.names import in_transition_argument
from suture.cli.output import emit, json_option
from suture.host.terminal import printable

if TYPE_CHECKING:
    from suture.core.force import Forced

EXAMPLES = (
    ("suture status", "first see which tasks hold up the transition: stopping them is better"),
    ("suture force livepatch_fix", "show the consequences and ask for confirmation"),
)


@command("force", examples=EXAMPLES)
@in_transition_argument
@option("--yes", is_flag=True, help="Do not ask.")
@wait_option
@no_journal_option
@json_option
def force(name: str, yes: bool, wait: float, no_journal: bool) -> None:
    """Force a transition to end even though some tasks have not switched. Use this as a last
    resort.

    Those tasks continue in the code that they are running, while all others run the other version:
    if the two disagree about locks or data, the kernel may hang or corrupt data. Whatever goes out
    of force this way, the live patch or those that it replaces, stays in memory until the next
    boot. It is better to stop the tasks that hold up the transition, or to reverse it with
    'suture unload'.
    """
    from suture.core import checks
    from suture.core.force import GIVES_UP, waited_for
    from suture.core.force import force as force_transition
    from suture.errors import NOT_CONFIRMED, Refusal

    checks.may_change(f"forcing {name}")
    lines = [f"  {task.line()}" for task in waited_for(name)]
    if not yes:
        click.echo(printable("\n".join([f"{name} waits for:", *lines, GIVES_UP])), err=True)
        if not sys.stdin.isatty() or not click.confirm("Force it?", err=True):
            raise Refusal(NOT_CONFIRMED, name, "forcing its transition was not confirmed")
    done = force_transition(name, options(10.0, True, wait, not no_journal))
    emit(done, lambda: for_people(done))


def for_people(done: Forced) -> str:
    """The result for people."""
    from suture.core.change import number

    lines = [f"The transition of {done.name} is over; {number(done.tasks)} had not switched."]
    if done.stays:
        lines.append(f"Out of force, but in memory until the next boot: {', '.join(done.stays)}.")
    return printable("\n".join(lines))
