# SPDX-License-Identifier: GPL-2.0-or-later
"""Instructions of a patch in sections of the patched object: functions to call, parts to ignore.

The macros of kpatch and Ksplice (`suture/formats/include`) put pointers into sections of their own.
`TABLE` says for each section when its functions are called.  Ksplice and older kpatch called some
of them while the machine was stopped between the old code and the new.  Today each task switches at
its own moment: functions that prepare are called before any task runs new code, functions that
clean up after the last task has left it, and other tasks run meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

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

HOOK_PREFIXES = (".kpatch.", ".ksplice_")
"""Prefixes of the names of these sections, which are not part of the live patch."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The moment at which the functions of a section are called.

    :ivar section: its name.
    :ivar kind: the core's callback from which they are called; None if they are called when a later
        function of the same load fails.
    :ivar takes_object: they take a ``struct klp_object *``, as the core's callbacks do; else
        nothing.
    :ivar fails: they return an int, and any value but 0 refuses the live patch.
    :ivar several: a source file may have more than one.
    :ivar was_stopped: kpatch or Ksplice called them while the machine was stopped.
    """

    section: str
    kind: CallbackKind | None
    takes_object: bool = False
    fails: bool = False
    several: bool = True
    was_stopped: bool = False

    @property
    def when(self) -> str:
        """The moment in words."""
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
"""Ksplice's stages; those of one callback in the order in which they are called."""

TABLE = (*KPATCH_STAGES, *KSPLICE_STAGES)

IGNORED_SECTIONS, IGNORED_FUNCTIONS = ".kpatch.ignore.sections", ".kpatch.ignore.functions"
FORCED, OPTIONS = ".kpatch.force", ".ksplice_options"
KNOWN = frozenset(
    {IGNORED_SECTIONS, IGNORED_FUNCTIONS, FORCED, OPTIONS, *(stage.section for stage in TABLE)}
)


def _left_out(why: str) -> Reason:
    return Reason(NO_CODE_CHANGE, why, why)


NOT_FORCED = _left_out(
    "today's kernels force a whole live patch or nothing: the transition waits until no task is in "
    "the function, and if it does not end, /sys/kernel/livepatch/NAME/force ends it"
)
NEVER_FAILS = _left_out("removing a live patch can take long, and does not fail")
NO_HINTS = _left_out(
    "every function is compared with the shipped kernel, which shows what it refers to"
)


@dataclass(frozen=True, slots=True)
class Hook:
    """A function of the patch that is called at a stage.

    :ivar function: its unit in the patched object.
    """

    stage: Stage
    function: Unit


@dataclass(frozen=True, slots=True)
class Hooks:
    """All instructions of one object.

    :ivar calls: in the order of `TABLE`, those of one section in its order.
    :ivar ignored_functions: functions with changes to ignore; `ignored_sections`: sections, by
        name.
    :ivar left_out: instructions that have no meaning for today's kernels.
    """

    calls: tuple[Hook, ...] = ()
    ignored_sections: frozenset[str] = frozenset()
    ignored_functions: frozenset[Unit] = frozenset()
    left_out: tuple[OmittedPart, ...] = ()


NO_HOOKS = Hooks()


def read_hooks(view: View) -> Hooks:
    """Read the instructions in the patched object.

    :raises Refusal: ``callback-duplicate``, ``callback-unusable``, ``ignored-not-found``,
        ``reversal-veto``
    """
    for section in view.obj.sections:
        is_hook = section.name.startswith(HOOK_PREFIXES) and section.size > 0
        if is_hook and section.name not in KNOWN:
            found = f"neither kpatch nor Ksplice reads a section {section.name}"
            raise Refusal(CALLBACK_UNUSABLE, view.obj.name, found)
    calls = list(chain.from_iterable(_calls(view, stage) for stage in TABLE))
    ignored_sections = frozenset(_section_names(view))
    ignored_functions = frozenset(_functions(view, IGNORED_FUNCTIONS))
    return Hooks(
        tuple(hook for hook in calls if hook.stage != FAIL_REVERSE),
        ignored_sections,
        ignored_functions,
        tuple(_meaningless(view, calls)),
    )


def _meaningless(view: View, calls: Iterable[Hook]) -> Iterator[OmittedPart]:
    """Yield the instructions that today's kernels do not need."""
    for function in _functions(view, FORCED):
        yield OmittedPart(f"{function.name}()", FORCED, NOT_FORCED)
    for hook in calls:
        if hook.stage == FAIL_REVERSE:
            yield OmittedPart(f"{hook.function.name}()", hook.stage.section, NEVER_FAILS)
    for index in _sections(view, OPTIONS):
        if view.obj.sections[index].size:
            yield OmittedPart("a hint", OPTIONS, NO_HINTS)


def _calls(view: View, stage: Stage) -> Iterator[Hook]:
    """Yield the functions that are called at a stage.

    :raises Refusal: ``callback-duplicate``, ``reversal-veto``
    """
    functions = list(dict.fromkeys(_functions(view, stage.section)))
    if len(functions) > 1 and not stage.several:
        named = " and ".join(f"{function.name}()" for function in functions)
        raise Refusal(CALLBACK_DUPLICATE, view.obj.name, f"{named} are both in {stage.section}")
    for function in functions:
        if stage.kind is PRE_UNPATCH and stage.fails and not always_returns_zero(view, function):
            raise Refusal(REVERSAL_VETO, view.obj.name, f"{function.name}() is in {stage.section}")
        yield Hook(stage, function)


def _functions(view: View, name: str) -> Iterator[Unit]:
    """Yield the functions that the pointers of a section lead to.

    kpatch's own tools write pointers to the object's name beside them (``struct
    kpatch_patch_hook``).

    :raises Refusal: ``callback-unusable``
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
                    found = f"{name} holds something other than functions of this file"
                    raise Refusal(CALLBACK_UNUSABLE, view.obj.name, found)


def _section_names(view: View) -> Iterator[str]:
    """Yield the names of the sections to ignore.

    :raises Refusal: ``callback-unusable``, ``ignored-not-found``
    """
    have = {section.name for section in view.obj.sections}
    for index in _sections(view, IGNORED_SECTIONS):
        for reference in view.references_in(index, 0, view.obj.sections[index].size):
            if not isinstance(reference.target, ToLiteral):
                found = f"{IGNORED_SECTIONS} holds something other than strings"
                raise Refusal(CALLBACK_UNUSABLE, view.obj.name, found)
            name = reference.target.content.rstrip(b"\0").decode(errors="replace")
            if name not in have:
                raise Refusal(IGNORED_NOT_FOUND, view.obj.name, f"has no section {name}")
            yield name


def _sections(view: View, name: str) -> Iterator[int]:
    return (index for index, section in enumerate(view.obj.sections) if section.name == name)


# --- whether a function can return anything but 0


def always_returns_zero(view: View, function: Unit) -> bool:
    """Whether every path through a function provably returns 0.

    Example: ``return 0;`` after calls does; ``return prepare();`` does not, as the value comes from
    other code.  The core cannot refuse a reversal, so a function that might ask for it is refused.
    """
    arch, code = view.obj.arch, view.data(function)
    instructions = {
        instruction.start: instruction for instruction in arch.decoding.instructions(code)
    }
    references = {reference.offset: reference for reference in view.references(function)}
    known: dict[int, bool] = {}
    todo = [(0, False)]
    while todo:
        place, zero = todo.pop()
        if place in known and (zero or not known[place]):
            continue  # visited with the same or less knowledge
        known[place] = zero
        instruction = instructions.get(place)
        if instruction is None:
            return False
        end = instruction.end
        reference = next((references[at] for at in range(place, end) if at in references), None)
        if instruction.flow is Flow.NEXT:
            is_relocated = reference is not None
            zero = arch.effects.returns_zero_after(code[place:end], is_relocated, zero)
            todo.append((end, zero))
            continue
        following = _following(arch, function, instruction, reference, zero)
        if following is None:
            return False
        todo += following
    return True


def _following(
    arch: Architecture,
    function: Unit,
    instruction: Instruction,
    reference: Reference | None,
    zero: bool,
) -> list[tuple[int, bool]] | None:
    """Return where execution continues, and whether the return register is 0 there; None if another
    value may be returned."""
    match instruction.flow:
        case Flow.CALL | Flow.INDIRECT_CALL:
            last = instruction.end == function.size  # a call that does not return
            return [] if last else [(instruction.end, False)]
        case Flow.RETURN:
            return [] if zero else None
        case Flow.TRAP:
            return []
        case Flow.JUMP | Flow.CONDITIONAL_JUMP:
            target = _target(function, instruction, reference)
            if target == arch.entry.return_thunk and instruction.flow is Flow.JUMP:
                return [] if zero else None
            if not isinstance(target, int):
                return None
            is_conditional = instruction.flow is Flow.CONDITIONAL_JUMP
            return [(target, zero), *([(instruction.end, zero)] if is_conditional else [])]
    return None


def _target(
    function: Unit, instruction: Instruction, reference: Reference | None
) -> int | str | None:
    """Return the target of a jump: a place in the function, or the name of another."""
    if reference is None:
        return instruction.target
    match reference.target:
        case ToUnit(unit, offset) if unit == function:
            return offset
        case ToUndefined(name, 0):
            return name
    return None
