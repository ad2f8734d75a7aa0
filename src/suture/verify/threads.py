# SPDX-License-Identifier: GPL-2.0-or-later
"""Main functions of kernel threads, which a live patch should not replace.

A task moves to the new code when none of the replaced functions is on its stack
(kernel/livepatch/transition.c: klp_check_stack()).  A kernel thread stays in its main function for
life, so the transition to a new one, and its reversal, only end when no such thread is left.

The target's own code shows its threads (`suture.verify.thread_mains`).  Further, such a function is
recognised by its new code, and by uses of its address in its file:

- it checks in a loop whether its thread is to stop: ``ksm_scan_thread()`` (mm/ksm.c) and
  ``kthread_should_stop()``; or
- it is passed to a function that creates threads, and sleeps in a loop or never returns:
  ``oom_reaper()`` (mm/oom_kill.c) and ``while (true)``.

A function that is passed to a creator of threads and does neither ends some time, as
``audit_send_reply_thread()`` (kernel/audit.c); a note says that the transition waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from suture.arch.decoding import Flow
from suture.diff.changes import cold_part
from suture.diff.plan import FilePlan
from suture.diff.users import HARMLESS
from suture.errors import (
    IDLE_FUNCTION_REPLACED,
    THREAD_FUNCTION_REPLACED,
    THREAD_NOT_REPLACED,
    Finding,
    Refusal,
)
from suture.host.progress import note
from suture.model import VMLINUX
from suture.objects.locals import base
from suture.objects.special import sections
from suture.objects.view import Reference, ToUndefined, ToUnit, Unit, View
from suture.verify.thread_mains import ThreadMain, Threads
from suture.verify.thread_names import (
    EVERY_SLEEPER,
    SLEEP_CALLS,
    STOP_CHECKS,
    THREAD_CREATORS,
    THREAD_EXITS,
    TIMED_SLEEPS,
    WAIT_BEGINS,
)

TRANSITION_WAITS = (
    "is the main function of a kernel thread: the transition waits for such a thread to end"
)
ASKS_TO_STOP = (
    "is the main function of a kernel thread: it asks in a loop whether its thread is to stop"
)


UNCHECKED = "and idle tasks are switched without a check of their stacks"
EVERY_TASK = "is on the stack of every task that sleeps, or of every kernel thread"


def staying_threads(
    plan: FilePlan,
    main_of: Callable[[Unit], ThreadMain | None] | None = None,
    objname: str = VMLINUX,
) -> Iterator[Finding]:
    """Find each replaced function that a thread stays in (``thread-function-replaced``).

    :param main_of: returns what the target shows of a function, if it is the main function of a
        thread there.  Without it, a global function may be one that its own file never calls.
    """
    changes = plan.changes
    old_view, new_view = changes.original.view, changes.patched.view
    old_mains, new_mains = _handed_to_creators(old_view), _handed_to_creators(new_view)
    for before, after in plan.replaced:
        name, where = base(after.name), f"{new_view.obj.name}: {after.name}()"
        if objname == VMLINUX and after.name in EVERY_SLEEPER:
            yield Finding(THREAD_FUNCTION_REPLACED, name, where, EVERY_TASK)
            continue
        shown = None if main_of is None else main_of(before)
        elsewhere = main_of is None or shown is not None
        why = reason_to_stay(old_view, before, old_mains, elsewhere)
        if why is None and shown is not None:
            old_mains, new_mains = old_mains | {before}, new_mains | {after}
            why = shown.found if shown.stays else None
        why = why or reason_to_stay(new_view, after, new_mains, elsewhere)
        if why is not None:
            yield Finding(THREAD_FUNCTION_REPLACED, name, where, why)
        elif (before in old_mains or after in new_mains) and not (shown and shown.sleeps):
            note(f"{where} {TRANSITION_WAITS}")


def stays_in_target(threads: Threads, objname: str, name: str, address: int) -> str:
    """Return why tasks of the target stay in a function of which there is no source, or "".

    :param threads: what is known of the threads of its object.
    """
    if objname == VMLINUX and name in EVERY_SLEEPER:
        return EVERY_TASK
    main = threads.mains.get(address)
    return main.found if main is not None and main.stays else ""


def idle_function(threads: Threads, address: int, name: str, where: str) -> Iterator[Finding]:
    """Find out whether idle tasks have a function on their stacks of which there is no source
    (``idle-function-replaced``)."""
    if address in threads.idle:
        found = f"{threads.idle[address]}, {UNCHECKED}"
        yield Finding(IDLE_FUNCTION_REPLACED, name, where, found)


def thread_mains(view: View, functions: Iterable[Unit]) -> list[Unit]:
    """Return the new functions that are main functions of kernel threads, without source.

    Arguments of kthread_create() cannot be traced then.  A function counts that checks in a loop
    whether its thread is to stop, and that no other function calls.
    """
    checking = (f for f in functions if _CodeSummary.of(view, f).calls_in_loop(STOP_CHECKS))
    return [function for function in checking if not _is_called(view, function)]


def may_sleep_or_loop(view: View, function: Unit) -> bool:
    """Whether a function's code is that of a main function, or of one that its thread sleeps in."""
    code = _CodeSummary.of(view, function)
    return bool(code.looped) or not code.leaves or sleeps_itself(view, function)


def sleeps_itself(view: View, function: Unit) -> bool:
    """Whether a function calls one that sleeps, as ``schedule()``."""
    return bool(_CodeSummary.of(view, function).calls & (SLEEP_CALLS | TIMED_SLEEPS))


def refuse_unused(plans: Iterable[FilePlan], replace_threads: Collection[str]) -> None:
    """Refuse names of thread functions that the patch does not replace.

    :raises Refusal: ``thread-not-replaced``
    """
    replaced = {base(after.name) for plan in plans for _, after in plan.replaced}
    for name in sorted(set(replace_threads) - replaced):
        raise Refusal(
            THREAD_NOT_REPLACED, f"--replace-thread {name}", "the patch replaces no such function"
        )


def reason_to_stay(
    view: View, function: Unit, handed_over: Collection[Unit], elsewhere: bool = True
) -> str | None:
    """Return why a kernel thread does not leave a function; None if its code shows no reason.

    A loop around ``prepare_to_wait()`` may be the wait for one event; whether it is shows only in
    linked code (`suture.verify.linked_code`).

    :param handed_over: the functions of its object that are passed to creators of threads.
    :param elsewhere: another file may pass it to one, if its own never calls it.  ``svc_recv()``
        (net/sunrpc/svc_xprt.c) asks in a loop too, but other modules only call it.
    """
    named = any(symbol.name in STOP_CHECKS | THREAD_CREATORS for symbol in view.obj.symbols)
    if not named and function not in handed_over:
        return None
    code = _CodeSummary.of(view, function)
    if code.calls_in_loop(STOP_CHECKS) and (
        _is_address_used(view, function)
        or (elsewhere and not function.is_local and not _is_called(view, function))
    ):
        return ASKS_TO_STOP
    if function not in handed_over:
        return None
    if code.calls_in_loop(SLEEP_CALLS) and not code.calls & WAIT_BEGINS:
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
