# SPDX-License-Identifier: GPL-2.0-or-later
"""End a transition by decree: the last resort for one that does not end and cannot be reversed.

What it gives up (``Documentation/livepatch/livepatch.rst``, "force"): a task that is in a replaced
function stays in it and goes on with whatever code it is in, beside others that run the other one;
and since nobody knows any more who runs what, the core keeps the modules of what goes out of force
for ever (``kernel/livepatch/transition.c: klp_force_transition()``).
"""

from __future__ import annotations

from dataclasses import dataclass

from suture.core import change, checks, lock, tasks, transition
from suture.core.change import Options
from suture.core.cores import current
from suture.errors import NOT_IN_TRANSITION, PATCH_NOT_LOADED, Refusal

GIVES_UP = (
    "The tasks shown continue in the code that they are running, while all others run the other "
    "version. If the two disagree about locks or data, the kernel may hang or corrupt data. "
    "Whatever goes out of force this way stays in memory until the next boot."
)


@dataclass(frozen=True, slots=True)
class Forced:
    """
    :ivar tasks: those that were declared to have moved.
    :ivar stays: what is out of force now and stays in memory: the live patch itself, or those that
        it replaced.
    :ivar recorded: in the journal.
    """

    name: str
    tasks: tuple[tasks.Task, ...]
    stays: tuple[str, ...]
    recorded: bool


def waited_for(name: str) -> tuple[tasks.Task, ...]:
    """The tasks that would be declared to have moved.  :raises Refusal: ``patch-not-loaded``,
    ``not-in-transition``"""
    patch = current().read(name)
    if patch is None:
        raise Refusal(PATCH_NOT_LOADED, name, "no live patch of this name is in force")
    if not patch.transition:
        raise Refusal(NOT_IN_TRANSITION, name, f"it is {'in' if patch.enabled else 'out of'} force")
    return transition.behind(patch)


def force(name: str, options: Options | None = None) -> Forced:
    """:raises Refusal: ``patch-not-loaded``, ``not-in-transition``, ``another-at-work``,
    ``journal-unwritable``, and what `suture.core.checks.may_change` refuses
    """
    chosen = options or Options()
    checks.may_change(f"forcing {name}")
    with lock.held(f"force {name}", wait=chosen.wait):
        behind = waited_for(name)
        before = [patch.name for patch in current().patches()]
        who = [task.line() for task in behind]
        with change.recorded(chosen.journal, "force", name, {"tasks": who}) as outcome:
            try:
                current().force(name)
            except OSError as error:
                raise Refusal(NOT_IN_TRANSITION, name, "the transition has just ended") from error
            transition.into_force(name, chosen.timeout)
            in_force = {patch.name for patch in current().patches() if patch.enabled}
            stays = tuple(other for other in before if other not in in_force)
            outcome.result = "forced"
            outcome.details |= {"stays": stays}
        return Forced(name, behind, stays, outcome.recorded)
