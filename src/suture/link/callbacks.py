# SPDX-License-Identifier: GPL-2.0-or-later
"""The callbacks of each object of a live patch, as C.

The core takes one function of each kind for an object (``struct klp_callbacks``).  Where more have
to be called, they are called from one that is written here, in this order, and in the opposite one
when the live patch is taken out:

1. what changes variables in memory (templates/data.c), so that the patch's own functions see what
   its code will see;
2. kpatch's functions, source file by source file;
3. Ksplice's, stage by stage over all files: no ``apply`` runs unless every ``pre_apply`` and
   ``check_apply`` agreed.

If one of them refuses, what was done before it for the same object is undone, as the core does it
for other objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from suture.diff.hooks import FAIL_APPLY, KPATCH_STAGES, KSPLICE_STAGES, Stage
from suture.model import VMLINUX, Callback, CallbackKind, LivePatch, PatchedObject

PRE, POST = CallbackKind.PRE_PATCH, CallbackKind.POST_PATCH
PRE_UNPATCH, POST_UNPATCH = CallbackKind.PRE_UNPATCH, CallbackKind.POST_UNPATCH

DATA = {kind: f"livepatch_{kind.value}" for kind in (PRE, POST, POST_UNPATCH)}
"""What templates/data.c defines."""


@dataclass(frozen=True, slots=True)
class Hooked:
    """A function that the patch wants to be called.

    :ivar objname: the object that its source file belongs to; `source`: that file.
    :ivar function: its name there; `symbol`: the global one in the live patch.
    """

    objname: str
    source: str
    stage: Stage
    function: str
    symbol: str


@dataclass(frozen=True, slots=True)
class _CallbackStep:
    """One call.

    :ivar returns: an int, and anything but 0 means no.
    """

    function: str
    takes_object: bool
    returns: bool

    @property
    def call(self) -> str:
        return f"{self.function}({'obj' if self.takes_object else ''})"


@dataclass(frozen=True, slots=True)
class _Party:
    """Calls that belong together.

    :ivar steps: what to call from each callback.
    :ivar undo: what to call if a party after this one refuses; `failed`: if this one does.
    """

    steps: Mapping[CallbackKind, tuple[_CallbackStep, ...]]
    undo: tuple[_CallbackStep, ...]
    failed: tuple[_CallbackStep, ...] = ()


def with_callbacks(patch: LivePatch, hooked: Sequence[Hooked], data: Iterable[str]) -> LivePatch:
    """Give every object its callbacks; an object may have nothing but those.

    :param data: the objects in which variables change.  What changes them is called for all
        objects, the core kernel first, which is always there: which of them have been patched
        before is known at run time only.
    """
    changes = set(data)
    needed = {one.objname for one in hooked} | changes | ({VMLINUX} if changes else set())
    objects = {patched.name: patched for patched in patch.objects}
    for name in needed:
        objects.setdefault(name, PatchedObject(name, ()))
    ordered = sorted(objects.values(), key=lambda patched: (patched.name != VMLINUX, patched.name))
    return replace(
        patch,
        objects=tuple(
            replace(one, callbacks=tuple(_named(number, _parties(one.name, hooked, bool(changes)))))
            for number, one in enumerate(ordered)
        ),
    )


def declarations(hooked: Sequence[Hooked]) -> str:
    """Of the functions that are called."""
    return "\n".join(
        f"extern {'int' if one.stage.fails else 'void'} {one.symbol}"
        f"({'struct klp_object *' if one.stage.takes_object else 'void'});"
        for one in hooked
    )


def definitions(patch: LivePatch, hooked: Sequence[Hooked], has_data: bool) -> str:
    """The functions that call others, for a patch of `with_callbacks`."""
    written = []
    for number, patched in enumerate(patch.objects):
        parties = _parties(patched.name, hooked, has_data)
        for callback in _named(number, parties):
            if callback.function == _wrapper(number, callback.kind):
                written.append(_definition(callback, parties))
    return "\n\n".join(written)


def _named(number: int, parties: Sequence[_Party]) -> Iterator[Callback]:
    for kind in CallbackKind:
        steps = _all(parties, kind)
        if not steps:
            continue
        # One alone with the core's own signature needs nothing around it, unless it is the author's
        # to say no: the core takes any number for that, and whoever loads a module takes a positive
        # one for success (kernel/module/main.c: do_init_module()).
        fits = (
            len(steps) == 1
            and steps[0].takes_object
            and (kind is not PRE or steps[0].function in DATA.values())
        )
        yield Callback(kind, steps[0].function if fits else _wrapper(number, kind))


def _wrapper(number: int, kind: CallbackKind) -> str:
    return f"livepatch_{kind.value}_{number}"


def _all(parties: Sequence[_Party], kind: CallbackKind) -> list[_CallbackStep]:
    ordered = parties if kind in (PRE, POST) else tuple(reversed(parties))
    return [step for party in ordered for step in party.steps.get(kind, ())]


def _parties(objname: str, hooked: Sequence[Hooked], has_data: bool) -> tuple[_Party, ...]:
    mine = [one for one in hooked if one.objname == objname]
    parties = []
    if has_data:
        written = {
            kind: (_CallbackStep(function, True, kind is PRE),) for kind, function in DATA.items()
        }
        parties.append(_Party(written, written[POST_UNPATCH]))
    for source in dict.fromkeys(one.source for one in mine if one.stage in KPATCH_STAGES):
        steps = _by_kind(one for one in mine if one.source == source and one.stage in KPATCH_STAGES)
        parties.append(_Party(steps, steps.get(POST_UNPATCH, ())))
    ksplice = sorted(
        (one for one in mine if one.stage in KSPLICE_STAGES),
        key=lambda one: KSPLICE_STAGES.index(one.stage),
    )
    if ksplice:
        steps = _by_kind(one for one in ksplice if one.stage.kind is not None)
        failed = tuple(_step(one) for one in ksplice if one.stage == FAIL_APPLY)
        parties.append(_Party(steps, (), failed))
    return tuple(parties)


def _by_kind(hooked: Iterable[Hooked]) -> dict[CallbackKind, tuple[_CallbackStep, ...]]:
    found: dict[CallbackKind, tuple[_CallbackStep, ...]] = {}
    for one in hooked:
        if one.stage.kind is not None:
            found[one.stage.kind] = (*found.get(one.stage.kind, ()), _step(one))
    return found


def _step(one: Hooked) -> _CallbackStep:
    return _CallbackStep(one.symbol, one.stage.takes_object, one.stage.fails)


def _definition(callback: Callback, parties: Sequence[_Party]) -> str:
    if callback.kind is PRE:
        return _refusing(callback.function, parties)
    calls = "".join(f"\t{step.call};\n" for step in _all(parties, callback.kind))
    return f"static void {callback.function}(struct klp_object *obj)\n{{\n{calls}}}"


def _refusing(name: str, parties: Sequence[_Party]) -> str:
    """A pre-patch callback.  Each label undoes what the parties before did, and falls through to
    the next."""
    body: list[str] = []
    refusing: set[int] = set()
    for number, party in enumerate(parties):
        for step in party.steps.get(PRE, ()):
            if step.returns:
                body += [f"error = {step.call};", "if (error)", f"\tgoto refused_{number};"]
                refusing.add(number)
            else:
                body.append(f"{step.call};")
    body.append("return 0;")
    undo: list[str] = []
    for number in range(max(refusing, default=-1), -1, -1):
        undo += [f"refused_{number}:"] if number in refusing else []
        undo += [f"\t{step.call};" for step in parties[number].failed]
        undo += [f"\t{step.call};" for step in parties[number - 1].undo] if number else []
    text = "\n".join(
        [
            *(f"\t{line}" for line in body),
            *undo,
            *(["\treturn error < 0 ? error : -EINVAL;"] if refusing else []),
        ]
    )
    error = "\tint error;\n\n" if refusing else ""
    return f"static int {name}(struct klp_object *obj)\n{{\n{error}{text}\n}}"
