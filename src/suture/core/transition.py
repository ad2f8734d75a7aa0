# SPDX-License-Identifier: GPL-2.0-or-later
"""From old code to new and back: wait until all tasks have moved, and say which have not.

The end of a transition into force is that the patch is no longer in transition; the end of one out
of force is that its directory is gone (``kernel/livepatch/transition.c:
klp_complete_transition()``, ``klp_free_patch_start()``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from suture.core import tasks
from suture.core.cores import current
from suture.core.patches import LoadedPatch
from suture.core.running import ROOT
from suture.host import progress

POLL = 0.1
"""Seconds.  The core itself looks again each second (``klp_transition_work_fn()``)."""

COUNT_EVERY = 10
"""Polls between two looks at all tasks, of which a host may have many thousands."""


@dataclass(frozen=True, slots=True)
class Waited:
    """The result of waiting for a transition.

    :ivar ended: whether it ended in time, and before a signal came.
    :ivar seconds: how long it took.
    """

    ended: bool
    seconds: float


def into_force(name: str, timeout: float, signals: Sequence[int] = (), root: Path = ROOT) -> Waited:
    """Wait until all tasks run the patch.  One that went meanwhile has ended too: see whether it is
    there.

    :param timeout: seconds.
    :param signals: what `suture.host.files.signals_held` fills; the first one ends the wait.
    """
    return _wait(lambda flags: flags is None or not flags[1], name, timeout, signals, root)


def out_of_force(
    name: str, timeout: float, signals: Sequence[int] = (), root: Path = ROOT
) -> Waited:
    """Wait until no task runs the patch any more; parameters as for `into_force`."""
    return _wait(lambda flags: flags is None, name, timeout, signals, root)


def behind(patch: LoadedPatch, root: Path = ROOT) -> tuple[tasks.Task, ...]:
    """The tasks that `patch`, which is in transition, waits for."""
    return tasks.behind(current(root).task_states(), int(patch.enabled), left_behind(patch, root))


def left_behind(patch: LoadedPatch, root: Path = ROOT) -> frozenset[tuple[str, str]]:
    """(object, function) that no task's stack may hold before it moves
    (``klp_check_stack_func()``).

    On the way into force: the original functions, and those of patches before it that it takes over
    from.  On the way out: the patch's own new functions.  Of those sysfs does not tell the names,
    so all of the module stands for them: there is no way into it but through them.
    """
    if not patch.enabled:
        return frozenset({(patch.name, tasks.ANY)})
    before = [other for other in current(root).patches() if other.name != patch.name]
    return patch.functions | {
        (other.name, tasks.ANY) for other in before if other.functions & patch.functions
    }


def _wait(
    done: Callable[[tuple[bool, bool] | None], bool],
    name: str,
    timeout: float,
    signals: Sequence[int],
    root: Path,
) -> Waited:
    started = time.monotonic()
    polls = 0
    core = current(root)
    while True:
        flags = core.flags(name)
        seconds = time.monotonic() - started
        if done(flags):
            return Waited(True, seconds)
        if signals or seconds >= timeout:
            return Waited(False, seconds)
        if flags is not None and polls % COUNT_EVERY == COUNT_EVERY - 1:
            counted = tasks.count(core.task_states(), int(flags[0]))
            if counted is not None:
                progress.advance(counted.moved, counted.total)
        polls += 1
        time.sleep(POLL)
