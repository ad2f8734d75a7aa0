# SPDX-License-Identifier: GPL-2.0-or-later
"""Replaced functions that idle tasks and kernel threads have on their stacks.

- An idle task's stack is not checked: ``do_idle()`` (kernel/sched/idle.c) is refused.
- A kernel thread stays in its main function for life (`suture.verify.threads`), and so the
  transition would not end.
- The transition waits for a thread that sleeps in a replaced function.  It ends if the thread
  returns from there now and then, as ``nfsd`` does from ``svc_recv()`` (net/sunrpc/svc_xprt.c).

Functions in which only tasks of user space sleep, as ``pipe_read()``, are none of these: the core
wakes such tasks by a signal (kernel/livepatch/transition.c: klp_send_signals()).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from suture.errors import IDLE_FUNCTION_REPLACED, THREAD_SLEEPS_INSIDE, Finding, Level
from suture.model import VMLINUX
from suture.objects.locals import base
from suture.objects.view import Unit
from suture.state.places import NO_PLACES, Places
from suture.verify.kernel import Kernel
from suture.verify.plan import PlannedFile
from suture.verify.thread_mains import ThreadMain
from suture.verify.threads import UNCHECKED, may_sleep_or_loop, sleeps_itself, staying_threads

MANY_IMPORTERS = 16
"""With more modules than these, a function is not a part of one thread's work."""

NAMED_THREADS = 3

SLEEPS = (
    r"\b(kthread_should_(stop|park)|kthread_freezable_should_stop|schedule(_\w+)?|\w*wait_event\w*"
    r"|wait_for_\w+|wait_woken|\w*sleep\w*|swait_\w+)\("
)
"""Calls in the source after which a thread sleeps, or that say that it goes on for life."""


def tasks_inside(
    planned: PlannedFile, kernel: Kernel, places: Places = NO_PLACES
) -> Iterator[Finding]:
    """Find each replaced function on the stack of idle tasks, or of threads that stay there or
    sleep (``idle-function-replaced``, ``thread-function-replaced``, ``thread-sleeps-inside``).

    :param places: finds the lines of the functions, and where they sleep.
    """
    for finding in _tasks_inside(planned, kernel):
        source = planned.file.source
        begins, sleeps = (places.of(source, finding.name, words) for words in ("", SLEEPS))
        evidence = [f"{finding.name}() waits in {sleeps}"] if sleeps.line != begins.line else []
        where = f"{begins}: {finding.name}()"
        yield replace(finding, where=where, evidence=(*finding.evidence, *evidence))


def _tasks_inside(planned: PlannedFile, kernel: Kernel) -> Iterator[Finding]:
    main_of = partial(_thread_main, planned, kernel)
    staying = tuple(staying_threads(planned.plan, main_of, planned.file.objname))
    yield from staying
    stay = {finding.name for finding in staying}
    view = planned.file.changes.original.view
    for before, after in planned.plan.replaced:
        name, where = base(after.name), f"{view.obj.name}: {after.name}()"
        why = _idle(planned, kernel, before)
        if why:
            found = f"{why}, {UNCHECKED}"
            yield Finding(IDLE_FUNCTION_REPLACED, name, where, found)
        elif name not in stay:
            yield from _waits(planned, kernel, before, name, where)


def _thread_main(planned: PlannedFile, kernel: Kernel, function: Unit) -> ThreadMain | None:
    """Return the main function of a thread that a function is in the target, if any."""
    view = planned.file.changes.original.view
    if planned.file.objname != VMLINUX and not may_sleep_or_loop(view, function):
        return None
    mains = kernel.threads(planned.file.objname).mains
    address = planned.file.addresses.among(function, mains)
    return None if address is None else mains[address]


def _idle(planned: PlannedFile, kernel: Kernel, function: Unit) -> str:
    """Return why a function is on the stack of an idle task, or ""."""
    if planned.file.objname != VMLINUX:
        return ""
    idle = kernel.threads(VMLINUX).idle
    address = planned.file.addresses.among(function, idle)
    return "" if address is None else idle[address]


def _waits(
    planned: PlannedFile, kernel: Kernel, function: Unit, name: str, where: str
) -> Iterator[Finding]:
    """Find out whether threads sleep in a function."""
    file = planned.file
    view = file.changes.original.view
    if file.objname != VMLINUX and not may_sleep_or_loop(view, function):
        return
    threads = kernel.threads(file.objname)
    main = _thread_main(planned, kernel, function)
    if main is not None and main.sleeps and not main.stays:
        found = f"is the main function of {main.label}, which sleeps in a loop of it"
        yield Finding(THREAD_SLEEPS_INSIDE, name, where, found, level=Level.WARN)
        return
    address = file.addresses.among(function, threads.sleepers)
    sleepers = list(() if address is None else threads.sleepers[address])
    if sleeps_itself(view, function):
        sleepers += _in_other_modules(kernel, function)
    if sleepers:
        shown = sorted({main.name for main in sleepers})
        more = f" and {len(shown) - NAMED_THREADS} more" if len(shown) > NAMED_THREADS else ""
        callers = ", ".join(f"{main}()" for main in shown[:NAMED_THREADS]) + more
        found = (
            f"{sleepers[0].label} sleeps in it, called by {callers}: the transition waits until it "
            "returns"
        )
        yield Finding(THREAD_SLEEPS_INSIDE, name, where, found, level=Level.WARN)


def _in_other_modules(kernel: Kernel, function: Unit) -> Iterator[ThreadMain]:
    """Yield the main functions of other modules whose threads sleep in an exported function."""
    for name in function.names:
        importers = kernel.importers(name) or ()
        if len(importers) <= MANY_IMPORTERS:
            for objname in importers:
                yield from kernel.threads(objname).sleeping_in(name)
