# SPDX-License-Identifier: GPL-2.0-or-later
"""Main functions of kernel threads, which a live patch should not replace.

A task moves to the new code when none of the replaced functions is on its stack
(kernel/livepatch/transition.c: klp_check_stack()).  A kernel thread stays in its main function for
life, so the transition to a new one, and its reversal, only end when no such thread is left.

Such a function is recognised by its code, before the patch or after it, and by uses of its address:

- it checks in a loop whether its thread is to stop: ``ksm_scan_thread()`` (mm/ksm.c) and
  ``kthread_should_stop()``; or
- it is passed to a function that creates threads, and sleeps in a loop or never returns:
  ``oom_reaper()`` (mm/oom_kill.c) and ``while (true)``.

A function that is passed to a creator of threads and does neither ends some time, as
``audit_send_reply_thread()`` (kernel/audit.c); a note says that the transition waits for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from suture.arch.decoding import Flow
from suture.diff.changes import cold_part
from suture.diff.plan import FilePlan
from suture.diff.users import HARMLESS
from suture.errors import THREAD_FUNCTION_REPLACED, THREAD_NOT_REPLACED, Refusal
from suture.host.progress import note
from suture.objects.locals import base
from suture.objects.special import sections
from suture.objects.view import Reference, ToUndefined, ToUnit, Unit, View

THREAD_CREATORS = frozenset(
    {
        "kthread_create_on_node",
        "kthread_create_on_cpu",
        "kernel_thread",
        "user_mode_thread",
        "create_io_thread",
    }
)
"""Functions that start a thread (include/linux/kthread.h, include/linux/sched/task.h); others and
macros, as ``kthread_run()``, call one of these."""

STOP_CHECKS = frozenset(
    {
        "kthread_should_stop",
        "kthread_should_park",
        "kthread_should_stop_or_park",
        "kthread_freezable_should_stop",
    }
)
"""Functions by which a kernel thread checks whether it is to stop (kernel/kthread.c)."""

SLEEP_CALLS = frozenset({"schedule"})

EVENT_WAITS = frozenset(
    {
        "prepare_to_wait_event",
        "prepare_to_wait",
        "prepare_to_wait_exclusive",
        "prepare_to_swait_event",
    }
)
"""Calls of a macro that waits for one event, in a loop around schedule() (include/linux/wait.h)."""

THREAD_EXITS = frozenset(
    {"do_exit", "kthread_exit", "kthread_complete_and_exit", "__module_put_and_kthread_exit"}
)
"""Functions by which a thread ends itself (include/linux/kthread.h)."""


TRANSITION_WAITS = (
    "is the main function of a kernel thread: the transition waits for such a thread to end"
)
ASKS_TO_STOP = (
    "is the main function of a kernel thread: it asks in a loop whether its thread is to stop"
)


def refuse_threads(plan: FilePlan, replace_threads: Collection[str]) -> None:
    """Refuse to replace functions that a thread stays in.

    :param replace_threads: names of those that may be replaced: the author knows that no such
        thread runs when the transition has to end.
    :raises Refusal: ``thread-function-replaced``
    """
    changes = plan.changes
    old_view, new_view = changes.original.view, changes.patched.view
    old_mains, new_mains = _handed_to_creators(old_view), _handed_to_creators(new_view)
    for before, after in plan.replaced:
        if base(after.name) in replace_threads:
            continue
        where = f"{new_view.obj.name}: {after.name}()"
        why = reason_to_stay(old_view, before, old_mains)
        why = why or reason_to_stay(new_view, after, new_mains)
        if why is not None:
            raise Refusal(THREAD_FUNCTION_REPLACED, where, why)
        if before in old_mains or after in new_mains:
            note(f"{where} {TRANSITION_WAITS}")


def thread_mains(view: View, functions: Iterable[Unit]) -> list[Unit]:
    """Return the new functions that are main functions of kernel threads, without source.

    Arguments of kthread_create() cannot be traced then.  A function counts that checks in a loop
    whether its thread is to stop, and that no other function calls.
    """
    checking = (f for f in functions if _CodeSummary.of(view, f).calls_in_loop(STOP_CHECKS))
    return [function for function in checking if not _is_called(view, function)]


def refuse_unused(plans: Iterable[FilePlan], replace_threads: Collection[str]) -> None:
    """Refuse names of thread functions that the patch does not replace.

    :raises Refusal: ``thread-not-replaced``
    """
    replaced = {base(after.name) for plan in plans for _, after in plan.replaced}
    for name in sorted(set(replace_threads) - replaced):
        raise Refusal(
            THREAD_NOT_REPLACED, f"--replace-thread {name}", "the patch replaces no such function"
        )


def reason_to_stay(view: View, function: Unit, handed_over: Collection[Unit]) -> str | None:
    """Return why a kernel thread does not leave a function; None if its code shows no reason.

    Example: ``kjournald2()`` (fs/jbd2/journal.c) sleeps in a loop, but in ``prepare_to_wait()`` and
    with a way out, ``goto end_loop``; it is not refused.

    :param handed_over: the functions of its object that are passed to creators of threads.
    """
    if not any(symbol.name in STOP_CHECKS | THREAD_CREATORS for symbol in view.obj.symbols):
        return None
    code = _CodeSummary.of(view, function)
    if code.calls_in_loop(STOP_CHECKS) and (
        _is_address_used(view, function) or not (function.is_local or _is_called(view, function))
    ):
        return ASKS_TO_STOP
    if function not in handed_over:
        return None
    if code.calls_in_loop(SLEEP_CALLS) and not code.calls & EVENT_WAITS:
        return "is the main function of a kernel thread, and sleeps in a loop"
    if not code.leaves and not code.calls & THREAD_EXITS:
        return "is the main function of a kernel thread, and never returns"
    return None


@dataclass(frozen=True, slots=True)
class _CodeSummary:
    """The calls and exits of a function with its ``.cold`` part.

    :ivar calls: names of the functions that it calls.
    :ivar looped: those that it calls between a jump back and its target, and all that the ``.cold``
        part calls.
    :ivar leaves: it has a return, or a jump to another function.
    """

    calls: frozenset[str]
    looped: frozenset[str]
    leaves: bool

    def calls_in_loop(self, names: frozenset[str]) -> bool:
        """Whether it calls any of these functions in a loop."""
        return bool(self.looped & names)

    @classmethod
    def of(cls, view: View, function: Unit) -> _CodeSummary:
        """Read a function's instructions and references."""
        cold = cold_part(view, function)
        parts = [function] if cold is None else [function, cold]
        loops = list(_loops(view, function))
        calls, looped = set(), set()
        leaves = any(_returns(view, part) for part in parts)
        for part in parts:
            for reference in view.references(part):
                name = _target_name(reference)
                if not reference.is_call or name is None:
                    leaves = leaves or _jumps_out(reference, parts)
                    continue
                calls.add(name)
                at = reference.offset
                if part != function or any(start <= at < end for start, end in loops):
                    looped.add(name)
        return cls(frozenset(calls), frozenset(looped), leaves)


def _jumps_out(reference: Reference, parts: Collection[Unit]) -> bool:
    """Whether a reference is a branch to code outside these parts of a function."""
    target = reference.target
    return reference.is_branch and not (isinstance(target, ToUnit) and target.unit in parts)


def _loops(view: View, function: Unit) -> Iterator[tuple[int, int]]:
    """Yield the range from the target of each backward jump to its end; every loop has one."""
    for branch in view.obj.arch.decoding.branches(view.data(function)):
        jump = branch.instruction
        if jump.flow is not Flow.CALL and branch.target <= jump.start:
            yield branch.target, jump.end


def _returns(view: View, part: Unit) -> bool:
    return any(
        instruction.flow in (Flow.RETURN, Flow.INDIRECT_JUMP)
        for instruction in view.obj.arch.decoding.instructions(view.data(part))
    )


def _handed_to_creators(view: View) -> frozenset[Unit]:
    """Return the functions that have their address used by a function that creates threads."""
    if not any(symbol.name in THREAD_CREATORS for symbol in view.obj.symbols):
        return frozenset()
    passed: set[Unit] = set()
    for unit in view.units:
        if not unit.is_function or not view.section(unit).is_code:
            continue
        references = list(view.references(unit))
        callees = {_target_name(reference) for reference in references if reference.is_branch}
        if callees.isdisjoint(THREAD_CREATORS):
            continue
        for reference in references:
            match reference.target:
                case ToUnit(function, 0) if function.is_function and not reference.is_branch:
                    passed.add(function)
    return frozenset(passed)


def _is_address_used(view: View, function: Unit) -> bool:
    """Whether code or data of the object uses a function's address."""
    special = sections(view.obj.arch)
    for index, section in enumerate(view.obj.sections):
        if not section.is_allocated or section.name in special or section.name.startswith(HARMLESS):
            continue
        ranges = [(0, section.size)]
        if section.is_code:
            ranges = [(unit.start, unit.end) for unit in view.units_in(index)]
        for start, end in ranges:
            for reference in view.references_in(index, start, end):
                if not reference.is_branch and reference.target == ToUnit(function, 0):
                    return True
    return False


def _is_called(view: View, function: Unit) -> bool:
    """Whether another function of the object calls a function or jumps to it."""
    start = ToUnit(function, 0)
    for unit in view.units:
        if not unit.is_function or unit == function or not view.section(unit).is_code:
            continue
        if any(ref.is_branch and ref.target == start for ref in view.references(unit)):
            return True
    return False


def _target_name(reference: Reference) -> str | None:
    match reference.target:
        case ToUndefined(name, _):
            return name
        case ToUnit(unit, 0):
            return unit.name
    return None
