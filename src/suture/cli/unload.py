# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture unload``"""

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
from suture.cli.names import loaded_argument
from suture.cli.output import emit, json_option
from suture.host.terminal import printable
from suture.module.staying import first_of

if TYPE_CHECKING:
    from suture.core.unload import Unloaded

EXAMPLES = (
    ("suture unload livepatch_fix", "return to the kernel's own code and unload the module"),
    (
        "suture unload livepatch_fix --timeout 300",
        "give tasks that sleep in the new code five minutes to leave it",
    ),
)


@command("unload", examples=EXAMPLES)
@loaded_argument
@timeout_option
@no_revert_option
@wait_option
@no_journal_option
@json_option
def unload(name: str, timeout: float, no_revert: bool, wait: float, no_journal: bool) -> None:
    """Take a live patch out of force, wait until no task runs it, and unload its module.

    The module stays in memory until the reboot if the kernel may still call what it handed out.

    If tasks do not leave the new code within --timeout, Suture shows each with its stack and puts
    the live patch into force again.
    """
    from suture.core.installing import is_loaded_at_boot
    from suture.core.unload import unload as unload_patch

    done = unload_patch(name, options(timeout, not no_revert, wait, not no_journal))
    lines = [summary(done)]
    if done.in_force:
        lines.append(f"In force still: {', '.join(done.in_force)}.")
    lines += [
        f"  {place.objname}: {place.function}() is that of {place.patch} now"
        for place in done.taken_over
    ]
    if done.stays:
        lines.append(f"Its module stays in memory until the reboot: {first_of(done.stays)}.")
    name = done.live_patch
    if is_loaded_at_boot(name):
        lines.append(f"The next boot loads it again; 'suture disable {name}' prevents that.")
    emit(done, printable("\n".join(lines)))


def summary(done: Unloaded) -> str:
    """The result in one line."""
    is_now = "out of force" if done.stays else "gone"
    runs = (
        "no task runs its code any more" if done.in_force else "all tasks run the kernel's own code"
    )
    return f"{done.name} is {is_now}: {runs} after {done.seconds:.1f} s."
