# SPDX-License-Identifier: GPL-2.0-or-later
"""Main functions of kernel threads, which a live patch had better not replace.

A task moves to the new code when none of the functions that are replaced is on its stack
(kernel/livepatch/transition.c: klp_check_stack()).  A kernel thread is in its main function for as
long as it lives, so the transition to a new one ends only when there is no such thread any more,
and so does the way back.

What tells such a function is its own code, before the patch or after it, and that its address is
used:

- it asks in a loop whether its thread is to stop; or
- it is handed to what makes threads, and sleeps in a loop by itself, or never returns.

One that is handed to what makes threads and does none of this ends some time; a note says so.
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

MAKERS = frozenset(
    {
        "kthread_create_on_node",
        "kthread_create_on_cpu",
        "kernel_thread",
        "user_mode_thread",
        "create_io_thread",
    }
)
"""Start a thread in a function that they are given (include/linux/kthread.h,
include/linux/sched/task.h); what else there is calls one of these, as ``kthread_run()``."""

ASKS = frozenset(
    {
        "kthread_should_stop",
        "kthread_should_park",
        "kthread_should_stop_or_park",
        "kthread_freezable_should_stop",
    }
)
"""Say whether the thread that asks is to stop (kernel/kthread.c); for threads alone."""

SLEEPS = frozenset({"schedule"})
"""What waits for one event calls prepare_to_wait_event() too, in a loop of its own
(include/linux/wait.h)."""
WAITS = frozenset(
    {
        "prepare_to_wait_event",
        "prepare_to_wait",
        "prepare_to_wait_exclusive",
        "prepare_to_swait_event",
    }
)

ENDS = frozenset(
    {"do_exit", "kthread_exit", "kthread_complete_and_exit", "__module_put_and_kthread_exit"}
)
"""End the thread from within (include/linux/kthread.h)."""


WAITS_FOR_IT = (
    "is the main function of a kernel thread: the transition waits for such a thread to end"
)
MAIN_FUNCTION = (
    "is the main function of a kernel thread: it asks in a loop whether its thread is to stop"
)


def refuse_threads(plan: FilePlan, may_stop: Collection[str]) -> None:
    """Refuse to replace functions that a thread stays in.

    :param may_stop: names of those whose threads, as the author says, do not run while the
        transition is to end.
    :raises Refusal: ``thread-function-replaced``
    """
    changes = plan.changes
    handed = _handed_over(changes.original.view), _handed_over(changes.patched.view)
    for before, after in plan.replaced:
        if base(after.name) in may_stop:
            continue
        sides = (changes.original.view, handed[0], before), (changes.patched.view, handed[1], after)
        where = f"{changes.patched.view.obj.name}: {after.name}()"
        for view, given, function in sides:
            if (why := stays(view, function, given)) is not None:
                raise Refusal(THREAD_FUNCTION_REPLACED, where, why)
        if any(function in given for _, given, function in sides):
            note(f"{where} {WAITS_FOR_IT}")


def asking(view: View, functions: Iterable[Unit]) -> list[Unit]:
    """Of new functions, those that are main functions of kernel threads, where there is no source
    to tell by.

    Who is handed to what makes threads is not seen then: what counts is that the function asks in a
    loop whether its thread is to stop, and that nothing beside it calls it.
    """
    return [
        one for one in functions if _Code.of(view, one).loops(ASKS) and not _is_called(view, one)
    ]


def refuse_unused(plans: Iterable[FilePlan], may_stop: Collection[str]) -> None:
    """:raises Refusal: ``thread-not-replaced``"""
    replaced = {base(after.name) for plan in plans for _, after in plan.replaced}
    for name in sorted(set(may_stop) - replaced):
        raise Refusal(
            THREAD_NOT_REPLACED, f"--replace-thread {name}", "the patch replaces no such function"
        )


def stays(view: View, function: Unit, handed_over: Collection[Unit]) -> str | None:
    """Why a kernel thread does not leave a function, as far as its code tells.

    :param handed_over: the functions of its object that are handed to what makes threads.
    """
    if not any(symbol.name in ASKS | MAKERS for symbol in view.obj.symbols):
        return None
    code = _Code.of(view, function)
    if code.loops(ASKS) and (
        _is_used(view, function) or not (function.is_local or _is_called(view, function))
    ):
        return MAIN_FUNCTION
    if function not in handed_over:
        return None
    if code.loops(SLEEPS) and not code.calls & WAITS:
        return "is the main function of a kernel thread, and sleeps in a loop"
    if not code.leaves and not code.calls & ENDS:
        return "is the main function of a kernel thread, and never returns"
    return None


@dataclass(frozen=True, slots=True)
class _Code:
    """What a function with its ``.cold`` part does.

    :ivar calls: names of what it calls.
    :ivar looped: those of them that stand between a jump back and where it leads, and all of the
        ``.cold`` part.
    :ivar leaves: it has a return, or a jump out of it.
    """

    calls: frozenset[str]
    looped: frozenset[str]
    leaves: bool

    def loops(self, names: frozenset[str]) -> bool:
        return bool(self.looped & names)

    @classmethod
    def of(cls, view: View, function: Unit) -> _Code:
        cold = cold_part(view, function)
        parts = [function] if cold is None else [function, cold]
        loops = list(_loops(view, function))
        calls, looped, leaves = set(), set(), False
        for part in parts:
            leaves = leaves or _returns(view, part)
            for reference in view.references(part):
                name = _name(reference)
                if reference.is_call and name is not None:
                    calls.add(name)
                    if part != function or any(
                        start <= reference.offset < end for start, end in loops
                    ):
                        looped.add(name)
                elif reference.is_branch and not (
                    isinstance(reference.target, ToUnit) and reference.target.unit in parts
                ):
                    leaves = True
        return cls(frozenset(calls), frozenset(looped), leaves)


def _loops(view: View, function: Unit) -> Iterator[tuple[int, int]]:
    """From where a jump back leads to its end: whatever goes round stands, on its way, in such a
    range."""
    for branch in view.obj.arch.decoding.branches(view.data(function)):
        jump = branch.instruction
        if jump.flow is not Flow.CALL and branch.target <= jump.start:
            yield branch.target, jump.end


def _returns(view: View, part: Unit) -> bool:
    return any(
        instruction.flow in (Flow.RETURN, Flow.INDIRECT_JUMP)
        for instruction in view.obj.arch.decoding.instructions(view.data(part))
    )


def _handed_over(view: View) -> frozenset[Unit]:
    """The functions whose address is used by a function that makes threads."""
    if not any(symbol.name in MAKERS for symbol in view.obj.symbols):
        return frozenset()
    found: set[Unit] = set()
    for unit in view.units:
        if not unit.is_function or not view.section(unit).is_code:
            continue
        references = list(view.references(unit))
        if any(reference.is_branch and _name(reference) in MAKERS for reference in references):
            targets = (one.target for one in references if not one.is_branch)
            found.update(one.unit for one in targets if isinstance(one, ToUnit) and one.offset == 0)
    return frozenset(unit for unit in found if unit.is_function)


def _is_used(view: View, function: Unit) -> bool:
    """Something uses its address: code, or data."""
    special = sections(view.obj.arch)
    for index, section in enumerate(view.obj.sections):
        if not section.is_allocated or section.name in special or section.name.startswith(HARMLESS):
            continue
        places = (
            [(unit.start, unit.end) for unit in view.units_in(index)]
            if section.is_code
            else [(0, section.size)]
        )
        if any(
            _is_address(one, function)
            for place in places
            for one in view.references_in(index, *place)
        ):
            return True
    return False


def _is_called(view: View, function: Unit) -> bool:
    return any(
        reference.is_branch and reference.target == ToUnit(function, 0)
        for unit in view.units
        if unit.is_function and unit != function and view.section(unit).is_code
        for reference in view.references(unit)
    )


def _is_address(reference: Reference, function: Unit) -> bool:
    return not reference.is_branch and reference.target == ToUnit(function, 0)


def _name(reference: Reference) -> str | None:
    match reference.target:
        case ToUndefined(name, _):
            return name
        case ToUnit(unit, 0):
            return unit.name
    return None
