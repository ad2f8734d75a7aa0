# SPDX-License-Identifier: GPL-2.0-or-later
"""Following one address of a live patch through the registers of its code."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from suture.arch.decoding import Flow
from suture.arch.effects import AddressStep
from suture.diff.keepers import KEEPS_STRINGS, RETURNS_ARGUMENT, keeps
from suture.diff.live_code import LiveCode, LiveUnit
from suture.objects.view import Reference, ToUndefined

STEPS = 4000
"""Instructions over which one address is followed; after that it is taken to escape."""

_LIVEPATCH_SYMBOL = re.compile(r"(?:[^:]+:)?\.klp\.sym\.[^.]+\.(.+),\d+")


class EscapeKind(Enum):
    """How an address leaves the live patch."""

    PASSED = "passes {what} to {to}"
    STORED = "stores the address of {what}"
    RETURNED = "returns the address of {what}"
    IN_TABLE = "points to {what}"
    UNCLEAR = "uses the address of {what}"


class AddressOf(Enum):
    """What an address leads to, by what has to happen for it to escape."""

    CODE = auto()
    """A function of the live patch, or data that leads to one, or a constant that leads to a
    variable: what is loaded from there is followed too."""
    TABLE = auto()
    """A variable, or a constant with addresses of the kernel, such as operations."""
    CONSTANT = auto()
    LITERAL = auto()


@dataclass(frozen=True, slots=True)
class AddressState:
    """A place in code, and the registers that hold the address there."""

    place: LiveUnit
    at: int
    registers: frozenset[int]


class AddressTrace:
    """Follows one address through code.

    :ivar kind: how it escapes first; None if it does not.
    :ivar to: the function that it is passed to.
    """

    def __init__(self, code: LiveCode, thing: AddressOf) -> None:
        self._code = code
        self._thing = thing
        self._steps = STEPS
        self._returned: dict[AddressState, bool] = {}
        self.kind: EscapeKind | None = None
        self.to = ""

    def follow(self, place: LiveUnit, reference: Reference) -> None:
        """Follow the address from the reference to it."""
        field = reference.offset
        at = place.view.obj.arch.decoding.fields(place.code).at(field).start
        step = self._step(AddressState(place, at, frozenset()), field)
        if self._walk(self._next(AddressState(place, at, step.registers), step)):
            self._return_from(place, set())

    def _return_from(self, place: LiveUnit, seen: set[LiveUnit]) -> None:
        """Follow the address to the callers of a function that returns it.

        A function that the kernel calls, as one that replaces another, returns it to the kernel.
        """
        function = self._code.whole(place)
        if function in seen:
            return
        seen.add(function)
        callers = self._code.callers(function)
        if callers is None:
            self._escape(EscapeKind.RETURNED)
            return
        result = frozenset({function.convention.result})
        for caller, after in callers:
            if after is None or self._walk([AddressState(caller, after, result)]):
                self._return_from(caller, seen)

    def _escape(self, kind: EscapeKind, to: str = "") -> None:
        """Note a way out, unless it does not count for what the address leads to."""
        kinds = {
            AddressOf.CONSTANT: (EscapeKind.STORED, EscapeKind.RETURNED),
            AddressOf.LITERAL: (EscapeKind.PASSED,),
        }.get(self._thing, tuple(EscapeKind))
        is_kept = self._thing is not AddressOf.LITERAL or to.removesuffix("()") in KEEPS_STRINGS
        if self.kind is None and kind in kinds and is_kept:
            self.kind, self.to = kind, to

    def _step(self, state: AddressState, field: int | None = None) -> AddressStep:
        effects = state.place.view.obj.arch.effects
        loads = self._thing is AddressOf.CODE
        step = effects.address_step(state.place.code, state.at, state.registers, field, loads)
        if step.is_stored:
            self._escape(EscapeKind.STORED)
        elif step.is_spilled:
            self._escape(EscapeKind.UNCLEAR)
        return step

    def _walk(self, first: Sequence[AddressState]) -> bool:
        """Follow all paths; return whether the function returns the address."""
        todo, seen, returned = list(first), set(first), False
        while todo and self.kind is None:
            state = todo.pop()
            if not 0 <= state.at < len(state.place.code):
                continue
            self._steps -= 1
            if self._steps < 0:
                self._escape(EscapeKind.UNCLEAR)
                return True
            step = self._step(state)
            here = AddressState(state.place, state.at, step.registers)
            if step.flow is Flow.RETURN:
                returned = returned or self._result(state) in state.registers
                continue
            for following in self._next(here, step):
                if following.at < 0:  # a jump to the thunk of a return
                    returned = returned or self._result(state) in following.registers
                elif following.registers and following not in seen:
                    seen.add(following)
                    todo.append(following)
        return returned

    def _result(self, state: AddressState) -> int:
        return state.place.convention.result

    def _next(self, state: AddressState, step: AddressStep) -> list[AddressState]:
        """Return where the address may be next.

        :param state: the instruction, with the registers after it.
        """
        place, registers = state.place, state.registers
        after = AddressState(place, step.end, registers)
        branches = [
            AddressState(place, target, registers)
            for target in self._code.jumps(place, state.at)
            if registers
        ]
        match step.flow:
            case Flow.CALL | Flow.INDIRECT_CALL:
                return [self._after_call(state, step)]
            case Flow.JUMP:
                return [*branches, *self._jump(state, step)]
            case Flow.CONDITIONAL_JUMP:
                return [after, *branches, *self._jump(state, step)]
            case Flow.INDIRECT_JUMP:
                self._passed(self._arguments(state), "a function by a pointer")
                return []
        return [after, *branches]

    def _jump(self, state: AddressState, step: AddressStep) -> list[AddressState]:
        """Return the target of a jump, which may be in another part of the code."""
        found, name = self._branch_target(state, step)
        if found is not None:
            return [AddressState(found[0], found[1], state.registers)]
        if name and name == state.place.convention.return_thunk:
            return [AddressState(state.place, -1, state.registers)]
        self._passed(self._arguments(state), name)
        return []

    def _after_call(self, state: AddressState, step: AddressStep) -> AddressState:
        """Follow the address into a called function, and return where it is after the call."""
        arguments = self._arguments(state)
        found, name = self._branch_target(state, step)
        if name in state.place.convention.transparent:
            return AddressState(state.place, step.end, state.registers)
        saved = state.registers & state.place.convention.saved
        returns = False
        if arguments and found is not None:
            returns = self._into(AddressState(found[0], found[1], arguments))
        elif arguments:
            self._passed(arguments, name)
            returns = bool(RETURNS_ARGUMENT.fullmatch(name))
        held = saved | {self._result(state)} if returns else saved
        return AddressState(state.place, step.end, held)

    def _into(self, entry: AddressState) -> bool:
        if entry not in self._returned:
            self._returned[entry] = False  # for recursion
            self._returned[entry] = self._walk([entry])
        return self._returned[entry]

    def _arguments(self, state: AddressState) -> frozenset[int]:
        return state.registers & frozenset(state.place.convention.arguments)

    def _branch_target(
        self, state: AddressState, step: AddressStep
    ) -> tuple[tuple[LiveUnit, int] | None, str]:
        """Return the code of the live patch that a branch leads to; else the name of the function
        of the kernel."""
        place = state.place
        reference = place.branch(state.at, step.end)
        if reference is not None:
            found = self._code.target(place.view, reference)
            if found is not None and found[0].unit.is_function:
                return found, ""
            if isinstance(reference.target, ToUndefined):
                name = plain_name(reference.target.name)
                is_thunk = name.startswith(place.convention.pointer_thunks)
                return None, "" if is_thunk else name
            return None, ""
        if step.target is None:
            return None, ""
        if 0 <= step.target < place.unit.size:
            return (place, step.target), ""
        there = place.unit.start + step.target
        unit = place.view.unit_at(place.unit.section, there)
        if unit is None:
            return None, ""
        return (self._code.place(place.view, unit), there - unit.start), ""

    def _passed(self, arguments: Collection[int], name: str) -> None:
        """Note that the kernel's function `name` is called with the address."""
        if not arguments:
            return
        if not name:
            self._escape(EscapeKind.PASSED, "a function by a pointer")
        elif keeps(name, copies_matter=self._thing is AddressOf.CODE):
            self._escape(EscapeKind.PASSED, f"{name}()")


def plain_name(name: str) -> str:
    """Return the kernel's name for an undefined symbol, which may be a pending livepatch symbol."""
    found = _LIVEPATCH_SYMBOL.fullmatch(name)
    return found[1] if found else name
