# SPDX-License-Identifier: GPL-2.0-or-later
"""The callbacks of each object of a live patch, as C.

The core takes one function of each kind for an object (``struct klp_callbacks``).  Where a patch
has more, Suture writes one function that calls them in this order, and in the opposite order when
the live patch is unloaded:

1. the functions that change variables in memory (templates/data.c), so that the patch's own
   callbacks see what its code will see;
2. kpatch's functions, source file by source file;
3. Ksplice's functions, stage by stage over all files: no ``apply`` runs unless every ``pre_apply``
   and ``check_apply`` agreed.

If one of them refuses, the steps before it for the same object are undone, as the core undoes them
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
"""The functions that templates/data.c defines."""


@dataclass(frozen=True, slots=True)
class Hooked:
    """A callback that a patch defines in one of its source files.

    :ivar objname: the object that the source file belongs to.
    :ivar source: the source file.
    :ivar function: its name there; `symbol`: its global name in the live patch.
    """

    objname: str
    source: str
    stage: Stage
    function: str
    symbol: str


@dataclass(frozen=True, slots=True)
class _CallbackStep:
    """One call of a function.

    :ivar returns: it returns an int, and anything but 0 refuses.
    """

    function: str
    takes_object: bool
    returns: bool

    @property
    def call(self) -> str:
        """The call as C."""
        return f"{self.function}({'obj' if self.takes_object else ''})"


@dataclass(frozen=True, slots=True)
class _Party:
    """Calls that belong together.

    :ivar steps: the calls of each callback.
    :ivar undo: the calls to make if a later party refuses.
    :ivar failed: the calls to make if this party refuses.
    """

    steps: Mapping[CallbackKind, tuple[_CallbackStep, ...]]
    undo: tuple[_CallbackStep, ...]
    failed: tuple[_CallbackStep, ...] = ()


def with_callbacks(patch: LivePatch, hooked: Sequence[Hooked], data: Iterable[str]) -> LivePatch:
    """Give every object its callbacks; an object may have nothing else.

    :param data: the objects in which variables change.  The functions that change them are
        callbacks of all objects, first of the core kernel, which is always loaded: only at run time
        is it known which objects have been patched before.
    """
    changes = set(data)
    needed = {hook.objname for hook in hooked} | changes | ({VMLINUX} if changes else set())
    objects = {patched.name: patched for patched in patch.objects}
    for name in needed:
        objects.setdefault(name, PatchedObject(name, ()))
    ordered = sorted(objects.values(), key=lambda patched: (patched.name != VMLINUX, patched.name))
    with_theirs = []
    for number, patched in enumerate(ordered):
        parties = _parties(patched.name, hooked, bool(changes))
        with_theirs.append(replace(patched, callbacks=tuple(_callbacks(number, parties))))
    return replace(patch, objects=tuple(with_theirs))


def declarations(hooked: Sequence[Hooked]) -> str:
    """Return C that declares the patch's own callbacks."""
    return "\n".join(
        f"extern {'int' if hook.stage.fails else 'void'} {hook.symbol}"
        f"({'struct klp_object *' if hook.stage.takes_object else 'void'});"
        for hook in hooked
    )


def definitions(patch: LivePatch, hooked: Sequence[Hooked], has_data: bool) -> str:
    """Return C that defines the calling functions, for a patch from `with_callbacks`."""
    written = []
    for number, patched in enumerate(patch.objects):
        parties = _parties(patched.name, hooked, has_data)
        for callback in _callbacks(number, parties):
            if callback.function == _wrapper(number, callback.kind):
                written.append(_definition(callback, parties))
    return "\n\n".join(written)


def _callbacks(number: int, parties: Sequence[_Party]) -> Iterator[Callback]:
    for kind in CallbackKind:
        steps = _all(parties, kind)
        if not steps:
            continue
        # A single function with the core's own signature needs no caller, unless it may refuse: the
        # core refuses for any number but 0 and returns it, and a positive number from a module's
        # init means success to the loader (kernel/module/main.c: do_init_module()).
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
    mine = [hook for hook in hooked if hook.objname == objname]
    parties = []
    if has_data:
        written = {
            kind: (_CallbackStep(function, True, kind is PRE),) for kind, function in DATA.items()
        }
        parties.append(_Party(written, written[POST_UNPATCH]))
    kpatch = [hook for hook in mine if hook.stage in KPATCH_STAGES]
    for source in dict.fromkeys(hook.source for hook in kpatch):
        steps = _by_kind(hook for hook in kpatch if hook.source == source)
        parties.append(_Party(steps, steps.get(POST_UNPATCH, ())))
    ksplice = sorted(
        (hook for hook in mine if hook.stage in KSPLICE_STAGES),
        key=lambda hook: KSPLICE_STAGES.index(hook.stage),
    )
    if ksplice:
        steps = _by_kind(hook for hook in ksplice if hook.stage.kind is not None)
        failed = tuple(_step(hook) for hook in ksplice if hook.stage == FAIL_APPLY)
        parties.append(_Party(steps, (), failed))
    return tuple(parties)


def _by_kind(hooked: Iterable[Hooked]) -> dict[CallbackKind, tuple[_CallbackStep, ...]]:
    found: dict[CallbackKind, tuple[_CallbackStep, ...]] = {}
    for hook in hooked:
        if hook.stage.kind is not None:
            found[hook.stage.kind] = (*found.get(hook.stage.kind, ()), _step(hook))
    return found


def _step(hook: Hooked) -> _CallbackStep:
    return _CallbackStep(hook.symbol, hook.stage.takes_object, hook.stage.fails)


def _definition(callback: Callback, parties: Sequence[_Party]) -> str:
    if callback.kind is PRE:
        return _refusing(callback.function, parties)
    calls = "".join(f"\t{step.call};\n" for step in _all(parties, callback.kind))
    return f"static void {callback.function}(struct klp_object *obj)\n{{\n{calls}}}"


def _refusing(name: str, parties: Sequence[_Party]) -> str:
    """Return C that defines a pre-patch callback.

    Each label undoes the steps of the party before, and falls through to the next label.
    """
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
