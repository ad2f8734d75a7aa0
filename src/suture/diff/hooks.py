# SPDX-License-Identifier: GPL-2.0-or-later
"""What a patch says about itself in sections of the patched object: functions to call, and what to
look away from.

The macros of kpatch and Ksplice (`suture/formats/include`) put pointers in sections of their own.
`TABLE` says for each section when its functions are to be called.  Ksplice and older kpatch called
some of them with the machine stopped between the old code and the new.  Today each task has its own
moment: before any task may run new code, those that prepare for it are called, and after the last
has left it those that clear up, and other tasks run meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from suture.arch import Architecture
from suture.arch.decoding import Flow, Instruction
from suture.diff.comparison import is_once_only
from suture.diff.omitted import OmittedPart, Reason
from suture.errors import (
    CALLBACK_DUPLICATE,
    CALLBACK_UNUSABLE,
    IGNORED_NOT_FOUND,
    NO_CODE_CHANGE,
    REVERSAL_VETO,
    Refusal,
)
from suture.model import CallbackKind
from suture.objects.view import Reference, ToLiteral, ToUndefined, ToUnit, Unit, View

OF_PATCHES = (".kpatch.", ".ksplice_")
"""Begin the names of these sections; they are no part of the live patch."""


@dataclass(frozen=True, slots=True)
class Stage:
    """When the functions of a section are called, and how.

    :ivar section: its name.
    :ivar kind: the callback of the kernel's core from which they are called; None: when a later one
        of the same load fails.
    :ivar takes_object: they take a ``struct klp_object *``, as the core's do; else nothing.
    :ivar fails: they return an int, and anything but 0 refuses the live patch.
    :ivar several: a source file may have more than one.
    :ivar was_stopped: they used to be called with the machine stopped.
    """

    section: str
    kind: CallbackKind | None
    takes_object: bool = False
    fails: bool = False
    several: bool = True
    was_stopped: bool = False

    @property
    def when(self) -> str:
        """For people."""
        moment = MOMENTS[self.kind] if self.kind else "if loading it is refused"
        return f"{moment}; once, the machine was stopped meanwhile" if self.was_stopped else moment


MOMENTS = {
    CallbackKind.PRE_PATCH: "before any task runs new code",
    CallbackKind.POST_PATCH: "when every task runs new code",
    CallbackKind.PRE_UNPATCH: "before it is taken out",
    CallbackKind.POST_UNPATCH: "when no task runs new code any more",
}


PRE, POST = CallbackKind.PRE_PATCH, CallbackKind.POST_PATCH
PRE_UNPATCH, POST_UNPATCH = CallbackKind.PRE_UNPATCH, CallbackKind.POST_UNPATCH

KPATCH_STAGES = (
    # kmod/patch/livepatch-patch-hook.c: one of each for an object
    Stage(".kpatch.callbacks.pre_patch", PRE, takes_object=True, fails=True, several=False),
    Stage(".kpatch.callbacks.post_patch", POST, takes_object=True, several=False),
    Stage(".kpatch.callbacks.pre_unpatch", PRE_UNPATCH, takes_object=True, several=False),
    Stage(".kpatch.callbacks.post_unpatch", POST_UNPATCH, takes_object=True, several=False),
    # kmod/core/core.c: kpatch_apply_patch(), kpatch_remove_patch(): within stop_machine()
    Stage(".kpatch.hooks.load", PRE, was_stopped=True),
    Stage(".kpatch.hooks.unload", POST_UNPATCH, was_stopped=True),
)

CALLBACKS = {stage.kind: stage for stage in KPATCH_STAGES if stage.takes_object}
"""The stages that are the core's own callbacks, by their kinds."""

# kmodsrc/ksplice.c: apply_update(), __apply_patches(), reverse_patches(), __reverse_patches()
PRE_APPLY = Stage(".ksplice_call_pre_apply", PRE, fails=True)
CHECK_APPLY = Stage(".ksplice_call_check_apply", PRE, fails=True, was_stopped=True)
APPLY = Stage(".ksplice_call_apply", PRE, was_stopped=True)
POST_APPLY = Stage(".ksplice_call_post_apply", POST)
FAIL_APPLY = Stage(".ksplice_call_fail_apply", None)
PRE_REVERSE = Stage(".ksplice_call_pre_reverse", PRE_UNPATCH, fails=True)
CHECK_REVERSE = Stage(".ksplice_call_check_reverse", PRE_UNPATCH, fails=True, was_stopped=True)
REVERSE = Stage(".ksplice_call_reverse", POST_UNPATCH, was_stopped=True)
POST_REVERSE = Stage(".ksplice_call_post_reverse", POST_UNPATCH)
# A reversal that has begun does not fail: it waits (Documentation/livepatch/livepatch.rst, 5.4).
FAIL_REVERSE = Stage(".ksplice_call_fail_reverse", None)

KSPLICE_STAGES = (
    *(PRE_APPLY, CHECK_APPLY, APPLY, POST_APPLY, FAIL_APPLY),
    *(PRE_REVERSE, CHECK_REVERSE, REVERSE, POST_REVERSE, FAIL_REVERSE),
)
"""Those of one callback in the order in which they are called."""

TABLE = (*KPATCH_STAGES, *KSPLICE_STAGES)

IGNORED_SECTIONS, IGNORED_FUNCTIONS = ".kpatch.ignore.sections", ".kpatch.ignore.functions"
FORCED, OPTIONS = ".kpatch.force", ".ksplice_options"
KNOWN = frozenset(
    {IGNORED_SECTIONS, IGNORED_FUNCTIONS, FORCED, OPTIONS, *(stage.section for stage in TABLE)}
)


def _left(why: str) -> Reason:
    return Reason(NO_CODE_CHANGE, why, why)


NOT_FORCED = _left(
    "today's kernels force a whole live patch or nothing: they wait until no task is in the function, and where that "
    "does not come to an end, /sys/kernel/livepatch/NAME/force makes them go on"
)
NEVER_FAILS = _left("that the live patch is taken out can take long, and does not fail")
NO_HINTS = _left(
    "every function is compared with the shipped kernel, and what it refers to is found out by that"
)


@dataclass(frozen=True, slots=True)
class Hook:
    """A function of the patch that is to be called.

    :ivar function: its unit in the patched object.
    """

    stage: Stage
    function: Unit


@dataclass(frozen=True, slots=True)
class Hooks:
    """All that an object says about itself.

    :ivar calls: in the order of `TABLE`, those of one section as they stand there.
    :ivar ignored_functions: whose changes are to be left out; `ignored_sections` likewise, by name.
    :ivar left_out: what has no meaning for today's kernels.
    """

    calls: tuple[Hook, ...] = ()
    ignored_sections: frozenset[str] = frozenset()
    ignored_functions: frozenset[Unit] = frozenset()
    left_out: tuple[OmittedPart, ...] = ()


NO_HOOKS = Hooks()


def read_hooks(view: View) -> Hooks:
    """Read the sections of the patched object.

    :raises Refusal: ``callback-duplicate``, ``callback-unusable``, ``ignored-not-found``,
        ``reversal-veto``
    """
    unknown = [
        s.name
        for s in view.obj.sections
        if s.name.startswith(OF_PATCHES) and s.name not in KNOWN and s.size
    ]
    if unknown:
        raise Refusal(
            CALLBACK_UNUSABLE,
            view.obj.name,
            f"{unknown[0]} is no section that kpatch or Ksplice reads",
        )
    calls = tuple(hook for stage in TABLE for hook in _calls(view, stage))
    return Hooks(
        tuple(hook for hook in calls if hook.stage != FAIL_REVERSE),
        frozenset(_section_names(view)),
        frozenset(_functions(view, IGNORED_FUNCTIONS)),
        (
            *(OmittedPart(f"{f.name}()", FORCED, NOT_FORCED) for f in _functions(view, FORCED)),
            *(
                OmittedPart(f"{h.function.name}()", h.stage.section, NEVER_FAILS)
                for h in calls
                if h.stage == FAIL_REVERSE
            ),
            *(
                OmittedPart("a hint", OPTIONS, NO_HINTS)
                for index in _sections(view, OPTIONS)
                if view.obj.sections[index].size
            ),
        ),
    )


def _calls(view: View, stage: Stage) -> Iterator[Hook]:
    functions = list(dict.fromkeys(_functions(view, stage.section)))
    if len(functions) > 1 and not stage.several:
        named = " and ".join(f"{function.name}()" for function in functions)
        raise Refusal(CALLBACK_DUPLICATE, view.obj.name, f"{named} are both in {stage.section}")
    for function in functions:
        if stage.kind is PRE_UNPATCH and stage.fails and not always_returns_zero(view, function):
            raise Refusal(REVERSAL_VETO, view.obj.name, f"{function.name}() is in {stage.section}")
        yield Hook(stage, function)


def _functions(view: View, name: str) -> Iterator[Unit]:
    """The functions that the pointers of a section lead to.

    What kpatch's own tools leave there has pointers to the object's name beside (``struct
    kpatch_patch_hook``).
    """
    for index in _sections(view, name):
        for reference in view.references_in(index, 0, view.obj.sections[index].size):
            match reference.target:
                case ToUnit(unit, 0) if unit.is_function:
                    if is_once_only(view.section(unit)):
                        found = f"{unit.name}() of {name} is in {view.section(unit).name}"
                        raise Refusal(CALLBACK_UNUSABLE, view.obj.name, found)
                    yield unit
                case ToLiteral():
                    pass
                case _:
                    found = f"{name} holds something else than functions of this file"
                    raise Refusal(CALLBACK_UNUSABLE, view.obj.name, found)


def _section_names(view: View) -> Iterator[str]:
    have = {section.name for section in view.obj.sections}
    for index in _sections(view, IGNORED_SECTIONS):
        for reference in view.references_in(index, 0, view.obj.sections[index].size):
            if not isinstance(reference.target, ToLiteral):
                raise Refusal(
                    CALLBACK_UNUSABLE,
                    view.obj.name,
                    f"{IGNORED_SECTIONS} holds something else than strings",
                )
            name = reference.target.content.rstrip(b"\0").decode(errors="replace")
            if name not in have:
                raise Refusal(IGNORED_NOT_FOUND, view.obj.name, f"has no section {name}")
            yield name


def _sections(view: View, name: str) -> Iterator[int]:
    return (index for index, section in enumerate(view.obj.sections) if section.name == name)


# --- whether a function can return anything but 0, as its instructions say


def always_returns_zero(view: View, function: Unit) -> bool:
    """Every way through the function ends with 0 in its return register, and that can be seen in
    the function alone.

    False where it cannot be seen: a jump to other code, a value that comes from a call.
    """
    arch, code = view.obj.arch, view.data(function)
    instructions = {one.start: one for one in arch.decoding.instructions(code)}
    references = {reference.offset: reference for reference in view.references(function)}
    known: dict[int, bool] = {}
    todo = [(0, False)]
    while todo:
        place, zero = todo.pop()
        if place in known and (zero or not known[place]):
            continue  # seen, knowing no more than now
        known[place] = zero
        one = instructions.get(place)
        if one is None:
            return False
        reference = next((references[at] for at in range(place, one.end) if at in references), None)
        if one.flow is Flow.NEXT:
            is_relocated = reference is not None
            zero = arch.effects.returns_zero_after(code[place : one.end], is_relocated, zero)
            todo.append((one.end, zero))
            continue
        following = _following(arch, function, one, reference, zero)
        if following is None:
            return False
        todo += following
    return True


def _following(
    arch: Architecture,
    function: Unit,
    one: Instruction,
    reference: Reference | None,
    zero: bool,
) -> list[tuple[int, bool]] | None:
    """Where it goes on, and whether the register is 0 there; None where another value may be
    returned."""
    match one.flow:
        case Flow.CALL | Flow.INDIRECT_CALL:
            last = one.end == function.size  # it does not come back
            return [] if last else [(one.end, False)]
        case Flow.RETURN:
            return [] if zero else None
        case Flow.TRAP:
            return []
        case Flow.JUMP | Flow.CONDITIONAL_JUMP:
            target = _target(function, one, reference)
            if target == arch.entry.return_thunk and one.flow is Flow.JUMP:
                return [] if zero else None
            if not isinstance(target, int):
                return None
            goes_on = one.flow is Flow.CONDITIONAL_JUMP
            return [(target, zero), *([(one.end, zero)] if goes_on else [])]
    return None


def _target(function: Unit, one: Instruction, reference: Reference | None) -> int | str | None:
    """A place in the function, or the name of another."""
    if reference is None:
        return one.target
    match reference.target:
        case ToUnit(unit, offset) if unit == function:
            return offset
        case ToUndefined(name, 0):
            return name
    return None
