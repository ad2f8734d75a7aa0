# SPDX-License-Identifier: GPL-2.0-or-later
"""What all changes of the running kernel share: how they are asked for, written down, and cleaned
up after."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from suture.core import modules, syscalls
from suture.core.cores import current
from suture.core.journal import Journal
from suture.core.tasks import Task
from suture.errors import CHANGE_INTERRUPTED, Refusal
from suture.host import files

TIMEOUT = 60.0
"""Seconds.  After 15, and every 15 again, the core itself sends a fake signal to tasks that sleep
interruptibly and wakes kernel threads (``kernel/livepatch/transition.c: SIGNALS_TIMEOUT``)."""

WAY_BACK = 60.0
"""Seconds that a reversal is given at the least, however short `Options.timeout` is: nothing better
is to be had."""

RELEASE_DEADLINE = 10.0
"""Seconds for the core to let go of a module: a worker does it, after the directory is gone
(``kernel/livepatch/core.c: klp_free_patch_finish()``)."""

POLL = 0.05
TASKS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Options:
    """How a change of live patches is made.

    :ivar timeout: seconds for the transition; its reversal is given as many, and `WAY_BACK` at
        the least.
    :ivar revert: reverse a transition that does not end in time; else leave it under way.
    :ivar ignore_probes: load although kprobes in replaced functions will no longer be reached, or
        BPF programs are attached to them.
    :ivar replace: take earlier live patches out of force although functions of theirs lose their
        fix with that.
    :ivar cause: what the journal says that it was for, such as ``boot``; "" for a person's command.
    :ivar wait: seconds to wait for another process that changes live patches.
    :ivar journal: None to write nothing down.
    """

    timeout: float = TIMEOUT
    revert: bool = True
    ignore_probes: bool = False
    wait: float = 0
    journal: Journal | None = field(default_factory=Journal)
    replace: bool = False
    cause: str = ""

    @property
    def way_back(self) -> float:
        """Seconds for a reversal."""
        return max(self.timeout, WAY_BACK)


@dataclass(slots=True)
class Outcome:
    """What the journal will say came of a change.

    :ivar result: one word.
    :ivar signals: those that have come; whoever waits looks at it, and brings the change to one of
        its clean ends.
    :ivar recorded: whether it could be written, once it was.
    """

    signals: list[int]
    result: str = "failed"
    details: dict[str, object] = field(default_factory=dict)
    recorded: bool = False


@contextmanager
def recorded(
    journal: Journal | None, operation: str, name: str, details: dict[str, object]
) -> Iterator[Outcome]:
    """Write the intent before the block and the outcome after it, whatever comes of it.

    Signals are held, so that none comes between two steps.  One that came too late to stop anything
    is told with what was done.

    :raises Refusal: ``journal-unwritable``, and the block has not begun; ``change-interrupted``
    """
    with files.signals_held() as signals:
        intent = journal.begin(operation, name, details) if journal is not None else None
        outcome = Outcome(signals)
        try:
            yield outcome
        except Refusal as refusal:
            signals.clear()
            outcome.result = refusal.code
            outcome.details |= {"found": refusal.found, "evidence": list(refusal.evidence)}
            raise
        finally:
            if journal is not None and intent is not None:
                outcome.recorded = journal.end(intent, outcome.result, outcome.details)
        if signals:
            signals.clear()
            raise Refusal(
                CHANGE_INTERRUPTED,
                name,
                f"the signal came too late: it is {outcome.result}",
            )


def origin(where: str) -> str:
    """Return where a module came from, for people: the absolute path of a file, or an address."""
    return where if "://" in where else os.path.abspath(where)


def drop_module(name: str, deadline: float = RELEASE_DEADLINE) -> bool:
    """Unload a module as soon as nothing holds it.  Return whether it is gone."""
    until = time.monotonic() + deadline
    while modules.read(name) is not None:
        try:
            syscalls.delete_module(name)
        except OSError as error:
            if error.errno == errno.ENOENT:
                break
            if error.errno not in (errno.EWOULDBLOCK, errno.EBUSY) or time.monotonic() > until:
                return False
            time.sleep(POLL)
    return True


def wait_until_gone(name: str, deadline: float = RELEASE_DEADLINE) -> bool:
    """Whether the core has let go of a live patch within `deadline` seconds."""
    until = time.monotonic() + deadline
    core = current()
    while core.has(name):
        if time.monotonic() > until:
            return False
        time.sleep(POLL)
    return True


def number(tasks: Sequence[Task]) -> str:
    """``1 task``, ``2 tasks``."""
    return f"{len(tasks)} task{'' if len(tasks) == 1 else 's'}"


def evidence(tasks: Sequence[Task]) -> tuple[str, ...]:
    """The tasks that hold up a transition, for a refusal: each with its stack, and marks at the
    frames that the transition waits for."""
    if not tasks:
        return ("no task that /proc shows: an idle task or one that is just being forked",)
    lines: list[str] = []
    for task in tasks[:TASKS_SHOWN]:
        lines.append(f"{task.line()}; {task.cpu_seconds:g} s of CPU time")
        lines += [f"  {'>' if frame in task.holding else ' '} {frame}" for frame in task.stack]
    if len(tasks) > TASKS_SHOWN:
        lines.append(f"and {len(tasks) - TASKS_SHOWN} more: 'suture status' shows them")
    return tuple(lines)
