# SPDX-License-Identifier: GPL-2.0-or-later
"""Forces a transition to end: the last resort for one that does not end and cannot be reversed.

The cost (``Documentation/livepatch/livepatch.rst``, "force"): a task in a replaced function
continues in the code that it is running, beside others that run the other version.  Since the core
then no longer knows which task runs what, it never frees the modules that go out of force
(``kernel/livepatch/transition.c: klp_force_transition()``).
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
    """The result of a forced transition.

    :ivar tasks: the tasks that had not switched.
    :ivar stays: the live patches that are now out of force and stay in memory: this one, or those
        that it replaced.
    :ivar recorded: whether the outcome is in the journal.
    """

    name: str
    tasks: tuple[tasks.Task, ...]
    stays: tuple[str, ...]
    recorded: bool


def waited_for(name: str) -> tuple[tasks.Task, ...]:
    """The tasks that have not switched.

    :raises Refusal: ``patch-not-loaded``, ``not-in-transition``
    """
    patch = current().read(name)
    if patch is None:
        raise Refusal(PATCH_NOT_LOADED, name, "no live patch of this name is in force")
    if not patch.transition:
        raise Refusal(NOT_IN_TRANSITION, name, f"it is {'in' if patch.enabled else 'out of'} force")
    return transition.behind(patch)


def force(name: str, options: Options | None = None) -> Forced:
    """Force the transition of a live patch to end.

    :raises Refusal: ``patch-not-loaded``, ``not-in-transition``, ``another-at-work``,
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
