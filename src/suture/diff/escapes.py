# SPDX-License-Identifier: GPL-2.0-or-later
"""Addresses in a live patch that the kernel may keep for longer than the live patch is in force.

A timer, a work item, a notifier or an open file keeps the address of a function.  If that function
is new, it is in the live patch's module, and the kernel would call freed memory once the module is
gone.  Such a live patch has to stay in memory.

An address escapes where code of the live patch, other than by a call or jump, refers to

- a function of the live patch: ``single_open(file, seq_show_adv, inode)``;
- writable data of the live patch: ``schedule_delayed_work(&adv_work, 6 * HZ)``;
- a constant of the live patch with addresses: ``file->f_op = &new_operations``;

and where the new value of a variable that the live patch changes in memory leads to the live patch.
The address is followed through the registers of the code, and into functions of the live patch: it
does not escape where it is only compared or accessed, or passed to functions that do not keep it
(`suture.diff.keepers`).  In doubt it escapes: that costs a few KiB, and a crash costs the host.

- Variables that macros and the compiler make, such as ``__func__``, ratelimit states and lockdep's
  keys, do not escape (`View.is_private`), and neither do static keys, which the kernel forgets when
  the module goes.
- Other constants escape only where their address is written to memory or returned.
- String literals escape only where a function that keeps its argument is called with one
  (`KEEPS_STRINGS`): most strings are for messages.
- The kernel's own functions and variables, among them the address of a replaced function, are no
  part of the live patch.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property

from suture.arch.decoding import Flow
from suture.arch.effects import AddressStep, CallConvention
from suture.diff.changes import MODULE_HOOKS
from suture.diff.keepers import KEEPS_STRINGS, RETURNS_ARGUMENT, keeps
from suture.diff.output import AUTHORS, ENTRY
from suture.elf.object import SHF_WRITE, STB_GLOBAL, ObjectFile
from suture.objects.locals import base, is_cold, parent
from suture.objects.special import JUMP_TABLE
from suture.objects.view import (
    Reference,
    ToAnonymous,
    ToLiteral,
    ToUndefined,
    ToUnit,
    Unit,
    View,
)

RUN_ONCE = (".init.", ".exit.")
"""Begins the names of sections whose code is an author's: what its init function registers, its
exit function takes back (include/linux/init.h)."""

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


@dataclass(frozen=True, slots=True)
class Escape:
    """An address in the live patch that the kernel may keep.

    :ivar holder: the function that hands it out, or the variable that points to it.
    :ivar what: the function, variable or string with this address.
    :ivar to: the function that it is passed to; "" if there is none.
    """

    holder: str
    what: str
    kind: EscapeKind
    to: str = ""

    def __str__(self) -> str:
        return f"{self.holder} {self.kind.value.format(what=self.what, to=self.to)}"


def escapes(
    objects: Sequence[ObjectFile], tables: Sequence[ChangedTable] = ()
) -> tuple[Escape, ...]:
    """Find the addresses that escape from a live patch, each with the first way out.

    :param objects: all its code and data, before the link.
    :param tables: variables that it changes in memory.
    """
    program = _LivePatchObjects(objects)
    found: dict[tuple[str, str], Escape] = {}
    for escape in (*program.of_tables(tables), *program.of_code()):
        known = found.get((escape.holder, escape.what))
        if known is None or known.kind is EscapeKind.UNCLEAR:
            found[escape.holder, escape.what] = escape
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class ChangedTable:
    """The new value of a variable that a live patch changes in memory.

    :ivar variable: the variable's name.
    :ivar obj: the object that holds the value, in section `section`.
    """

    variable: str
    obj: ObjectFile
    section: int


class _AddressOf(Enum):
    """What an address leads to, by what has to happen for it to escape."""

    CODE = auto()
    """A function of the live patch, or data that leads to one, or a constant that leads to a
    variable: what is loaded from there is followed too."""
    TABLE = auto()
    """A variable, or a constant with addresses of the kernel, such as operations."""
    CONSTANT = auto()
    LITERAL = auto()


class _Leads(Enum):
    """The most that data leads to."""

    NOWHERE = auto()
    TO_THE_KERNEL = auto()
    TO_THE_LIVE_PATCH = auto()
    """To a function, or from a constant to a variable."""


@dataclass(frozen=True, eq=False)
class _NewUnit:
    """A unit of one of the objects, with what is looked up in its code again and again."""

    view: View
    unit: Unit

    @cached_property
    def code(self) -> bytes:
        """Its bytes."""
        return self.view.data(self.unit)

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """Its references, by offset."""
        return tuple(self.view.references(self.unit))

    @property
    def convention(self) -> CallConvention:
        """How its code calls functions."""
        return self.view.obj.arch.effects.convention

    def branch(self, start: int, end: int) -> Reference | None:
        """Return the reference to the target of a call or jump at ``[start, end)``, if it has one
        that the linker fills in."""
        return next(
            (one for one in self.references if start <= one.offset < end and one.is_branch), None
        )

    @property
    def name(self) -> str:
        """Its name in the source."""
        name = base(self.unit.name)
        return f"{name}()" if self.unit.is_function else name

    @property
    def range(self) -> tuple[int, int, int]:
        """Its section, its start and its end."""
        return self.unit.section, self.unit.start, self.unit.end

    @property
    def is_private(self) -> bool:
        """Whether the compiler or a macro made it for the code around it."""
        return self.view.is_private(self.unit)

    @property
    def is_writable(self) -> bool:
        """Whether it is a variable."""
        return bool(self.view.section(self.unit).flags & SHF_WRITE)


class _LivePatchObjects:
    """All objects of a live patch."""

    def __init__(self, objects: Sequence[ObjectFile]) -> None:
        self._views = [View(obj) for obj in objects]
        self._places: dict[tuple[int, Unit], _NewUnit] = {}
        self._globals: dict[str, _NewUnit] = {}
        for view in self._views:
            for symbol in view.obj.symbols:
                if symbol.bind == STB_GLOBAL and symbol.is_defined_here:
                    unit = view.unit_at(symbol.shndx, symbol.value)
                    if unit is not None:
                        self._globals[symbol.name] = self.place(view, unit)
        self._leads: dict[_NewUnit, _Leads] = {}
        self._jumps = {number: _jumps(view) for number, view in enumerate(self._views)}

    def place(self, view: View, unit: Unit) -> _NewUnit:
        """Return the one value for a unit."""
        key = id(view), unit
        if key not in self._places:
            self._places[key] = _NewUnit(view, unit)
        return self._places[key]

    def jumps(self, place: _NewUnit, at: int) -> Collection[int]:
        """Return the offsets to which a static branch at an offset of a function may jump."""
        number = self._views.index(place.view)
        start = place.unit.start
        targets = self._jumps[number].get((place.unit.section, start + at), ())
        return [target - start for target in targets]

    def target(self, view: View, reference: Reference) -> tuple[_NewUnit, int] | None:
        """Return the unit of the live patch that a reference leads to, and the offset in it."""
        match reference.target:
            case ToUnit(unit, offset):
                return self.place(view, unit), offset
            case ToUndefined(name, offset) if name in self._globals:
                return self._globals[name], offset
        return None

    def whole(self, place: _NewUnit) -> _NewUnit:
        """Return the function that a ``.cold`` part belongs to; any other unit itself."""
        if not is_cold(place.unit.name):
            return place
        units = place.view.by_name.get(parent(place.unit.name), ())
        return self.place(place.view, units[0]) if len(units) == 1 else place

    def callers(self, function: _NewUnit) -> Sequence[tuple[_NewUnit, int | None]] | None:
        """Return the code of the live patch that calls a function.

        :return: each caller and the offset after the call, None for a jump there; or None if the
            kernel may call the function too.
        """
        if any(name.startswith(ENTRY) for name in function.unit.names):
            return None
        found: list[tuple[_NewUnit, int | None]] = []
        for user, reference in self._references:
            if self.target(user.view, reference) != (function, 0):
                continue
            if not user.unit.is_function or not reference.is_branch:
                return None  # by a pointer
            field = user.view.obj.arch.decoding.fields(user.code).at(reference.offset)
            found.append((user, field.end if field.is_call else None))
        found += self._calls_in_section(function)
        return found or None

    @cached_property
    def _references(self) -> Sequence[tuple[_NewUnit, Reference]]:
        """All references in code and data, except those in special sections."""
        found: list[tuple[_NewUnit, Reference]] = []
        for view in self._views:
            for unit in view.units:
                place = self.place(view, unit)
                found += [(place, reference) for reference in place.references]
        return found

    def _calls_in_section(self, function: _NewUnit) -> Iterator[tuple[_NewUnit, int | None]]:
        """Yield calls whose distance the assembler has filled in, as it does in one section."""
        view = function.view
        for unit in view.units_in(function.unit.section):
            place = self.place(view, unit)
            related = {reference.offset for reference in place.references}
            for branch in view.obj.arch.decoding.branches(place.code):
                is_there = unit.start + branch.target == function.unit.start
                if is_there and branch.field not in related and unit != function.unit:
                    one = branch.instruction
                    yield place, one.end if one.flow is Flow.CALL else None

    # --- candidates

    def of_tables(self, tables: Sequence[ChangedTable]) -> Iterator[Escape]:
        """Yield what the new values of variables lead to."""
        for table in tables:
            view = View(table.obj)
            size = table.obj.sections[table.section].size
            for reference in view.references_in(table.section, 0, size):
                match reference.target:
                    case ToUndefined(name) if name in self._globals:
                        what = self._globals[name].name
                    case ToLiteral() | ToAnonymous():
                        content = _string(view, reference)
                        what = _literal(content) if content is not None else "an unnamed constant"
                    case ToUnit(unit, _):
                        what = self.place(view, unit).name
                    case _:
                        continue
                yield Escape(table.variable, what, EscapeKind.IN_TABLE)

    def of_code(self) -> Iterator[Escape]:
        """Yield the addresses that code hands out."""
        for view in self._views:
            strings = any(_plain(one.name) in KEEPS_STRINGS for one in view.obj.symbols)
            for unit in view.units:
                section = view.section(unit)
                if not section.is_code or section.name.startswith(RUN_ONCE):
                    continue
                if any(name in MODULE_HOOKS or name.startswith(AUTHORS) for name in unit.names):
                    continue  # as above, without __init and __exit
                place = self.place(view, unit)
                for reference in place.references:
                    if not reference.is_branch:
                        yield from self._of_reference(place, reference, strings)

    def _of_reference(
        self, place: _NewUnit, reference: Reference, strings: bool
    ) -> Iterator[Escape]:
        candidate = self._candidate(place.view, reference, strings)
        if candidate is None:
            return
        thing, what = candidate
        trace = _AddressTrace(self, thing)
        trace.follow(place, reference)
        if trace.kind is not None:
            # The holder of a .cold part is the function that it belongs to.
            yield Escape(place.name, what, trace.kind, trace.to)

    def _candidate(
        self, view: View, reference: Reference, strings: bool
    ) -> tuple[_AddressOf, str] | None:
        """Return what a reference leads to in the live patch, with its name; None for what cannot
        escape."""
        match reference.target:
            case ToLiteral() | ToAnonymous() if (content := _string(view, reference)) is not None:
                return (_AddressOf.LITERAL, _literal(content)) if strings else None
            case ToAnonymous(section, _):
                held = view.obj.sections[section]
                leads = self._leads_from(view, section, 0, 0 if held.is_code else held.size)
                is_table = leads is _Leads.TO_THE_LIVE_PATCH
                return (_AddressOf.CODE, "an unnamed constant") if is_table else None
        found = self.target(view, reference)
        if found is None:
            return None
        place, offset = found
        if place.unit.is_function:
            # An address inside a function is a label, as in _THIS_IP_.
            is_label = offset or is_cold(place.unit.name)
            return None if is_label else (_AddressOf.CODE, place.name)
        leads = self.leads(place)
        if leads is _Leads.TO_THE_LIVE_PATCH:
            return _AddressOf.CODE, place.name
        if place.is_private:
            return None
        is_table = place.is_writable or leads is _Leads.TO_THE_KERNEL
        return _AddressOf.TABLE if is_table else _AddressOf.CONSTANT, place.name

    def leads(self, place: _NewUnit) -> _Leads:
        """Return what data leads to."""
        if place not in self._leads:
            self._leads[place] = self._leads_from(place.view, *place.range)
        return self._leads[place]

    def _leads_from(self, view: View, section: int, start: int, end: int) -> _Leads:
        # Data may lead in circles: an empty list's head points to itself.
        todo, seen = [(view, section, start, end)], set[_NewUnit]()
        found = _Leads.NOWHERE
        while todo:
            view, section, start, end = todo.pop()
            writable = bool(view.obj.sections[section].flags & SHF_WRITE)
            for reference in view.references_in(section, start, end):
                target = self.target(view, reference)
                if target is None:
                    if isinstance(reference.target, ToUndefined):
                        found = _Leads.TO_THE_KERNEL
                    continue
                place, offset = target
                if place.unit.is_function:
                    if not offset and not is_cold(place.unit.name):
                        return _Leads.TO_THE_LIVE_PATCH
                elif place.is_writable and not writable and not place.is_private:
                    return _Leads.TO_THE_LIVE_PATCH
                elif place not in seen:
                    seen.add(place)
                    todo.append((place.view, *place.range))
        return found


@dataclass(frozen=True, slots=True)
class _AddressState:
    """A place in code, and the registers that hold the address there."""

    place: _NewUnit
    at: int
    registers: frozenset[int]


class _AddressTrace:
    """Follows one address through code.

    :ivar kind: how it escapes first; None if it does not.
    :ivar to: the function that it is passed to.
    """

    def __init__(self, program: _LivePatchObjects, thing: _AddressOf) -> None:
        self._program = program
        self._thing = thing
        self._steps = STEPS
        self._returned: dict[_AddressState, bool] = {}
        self.kind: EscapeKind | None = None
        self.to = ""

    def follow(self, place: _NewUnit, reference: Reference) -> None:
        """Follow the address from the reference to it."""
        field = reference.offset
        at = place.view.obj.arch.decoding.fields(place.code).at(field).start
        step = self._step(_AddressState(place, at, frozenset()), field)
        if self._walk(self._next(_AddressState(place, at, step.registers), step)):
            self._return_from(place, set())

    def _return_from(self, place: _NewUnit, seen: set[_NewUnit]) -> None:
        """Follow the address to the callers of a function that returns it.

        A function that the kernel calls, as one that replaces another, returns it to the kernel.
        """
        function = self._program.whole(place)
        if function in seen:
            return
        seen.add(function)
        callers = self._program.callers(function)
        if callers is None:
            self._escape(EscapeKind.RETURNED)
            return
        result = frozenset({function.convention.result})
        for caller, after in callers:
            if after is None or self._walk([_AddressState(caller, after, result)]):
                self._return_from(caller, seen)

    def _escape(self, kind: EscapeKind, to: str = "") -> None:
        """Note a way out, unless it does not count for what the address leads to."""
        kinds = {
            _AddressOf.CONSTANT: (EscapeKind.STORED, EscapeKind.RETURNED),
            _AddressOf.LITERAL: (EscapeKind.PASSED,),
        }.get(self._thing, tuple(EscapeKind))
        is_kept = self._thing is not _AddressOf.LITERAL or to.removesuffix("()") in KEEPS_STRINGS
        if self.kind is None and kind in kinds and is_kept:
            self.kind, self.to = kind, to

    def _step(self, state: _AddressState, field: int | None = None) -> AddressStep:
        effects = state.place.view.obj.arch.effects
        loads = self._thing is _AddressOf.CODE
        step = effects.address_step(state.place.code, state.at, state.registers, field, loads)
        if step.is_stored:
            self._escape(EscapeKind.STORED)
        elif step.is_spilled:
            self._escape(EscapeKind.UNCLEAR)
        return step

    def _walk(self, first: Sequence[_AddressState]) -> bool:
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
            here = _AddressState(state.place, state.at, step.registers)
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

    def _result(self, state: _AddressState) -> int:
        return state.place.convention.result

    def _next(self, state: _AddressState, step: AddressStep) -> list[_AddressState]:
        """Return where the address may be next.

        :param state: the instruction, with the registers after it.
        """
        place, registers = state.place, state.registers
        after = _AddressState(place, step.end, registers)
        branches = [
            _AddressState(place, target, registers)
            for target in self._program.jumps(place, state.at)
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

    def _jump(self, state: _AddressState, step: AddressStep) -> list[_AddressState]:
        """Return the target of a jump, which may be in another part of the code."""
        found, name = self._branch_target(state, step)
        if found is not None:
            return [_AddressState(found[0], found[1], state.registers)]
        if name and name == state.place.convention.return_thunk:
            return [_AddressState(state.place, -1, state.registers)]
        self._passed(self._arguments(state), name)
        return []

    def _after_call(self, state: _AddressState, step: AddressStep) -> _AddressState:
        """Follow the address into a called function, and return where it is after the call."""
        arguments = self._arguments(state)
        found, name = self._branch_target(state, step)
        if name in state.place.convention.transparent:
            return _AddressState(state.place, step.end, state.registers)
        saved = state.registers & state.place.convention.saved
        returns = False
        if arguments and found is not None:
            returns = self._into(_AddressState(found[0], found[1], arguments))
        elif arguments:
            self._passed(arguments, name)
            returns = bool(RETURNS_ARGUMENT.fullmatch(name))
        held = saved | {self._result(state)} if returns else saved
        return _AddressState(state.place, step.end, held)

    def _into(self, entry: _AddressState) -> bool:
        if entry not in self._returned:
            self._returned[entry] = False  # for recursion
            self._returned[entry] = self._walk([entry])
        return self._returned[entry]

    def _arguments(self, state: _AddressState) -> frozenset[int]:
        return state.registers & frozenset(state.place.convention.arguments)

    def _branch_target(
        self, state: _AddressState, step: AddressStep
    ) -> tuple[tuple[_NewUnit, int] | None, str]:
        """Return the code of the live patch that a branch leads to; else the name of the function
        of the kernel."""
        place = state.place
        reference = place.branch(state.at, step.end)
        if reference is not None:
            found = self._program.target(place.view, reference)
            if found is not None and found[0].unit.is_function:
                return found, ""
            if isinstance(reference.target, ToUndefined):
                name = _plain(reference.target.name)
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
        return (self._program.place(place.view, unit), there - unit.start), ""

    def _passed(self, arguments: Collection[int], name: str) -> None:
        """Note that the kernel's function `name` is called with the address."""
        if not arguments:
            return
        if not name:
            self._escape(EscapeKind.PASSED, "a function by a pointer")
        elif keeps(name, copies_matter=self._thing is _AddressOf.CODE):
            self._escape(EscapeKind.PASSED, f"{name}()")


def _plain(name: str) -> str:
    """Return the kernel's name for an undefined symbol, which may be a pending livepatch symbol."""
    found = _LIVEPATCH_SYMBOL.fullmatch(name)
    return found[1] if found else name


def _string(view: View, reference: Reference) -> bytes | None:
    """Return the string literal that a reference leads to; None for anything else.

    Output objects hold them in sections that the linker does not merge
    (`suture.diff.object_builder.Builder.literal`).
    """
    match reference.target:
        case ToLiteral(_, content, _):
            return content
        case ToAnonymous(index, offset):
            section = view.obj.sections[index]
            if section.name.startswith(".rodata.str") and 0 <= offset < len(section.data):
                return section.data[offset:].partition(b"\0")[0]
    return None


def _literal(content: bytes) -> str:
    text = content.rstrip(b"\0").decode("utf-8", "backslashreplace")
    return f"the string {text!r}"


def _jumps(view: View) -> dict[tuple[int, int], list[int]]:
    """Return the places of static branches, section and offset, with the offsets that they may jump
    to (include/linux/jump_label.h: struct jump_entry)."""
    found: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, section in enumerate(view.obj.sections):
        if section.name != JUMP_TABLE:
            continue
        places = [view.place(one, index) for one in view.relocations(index, 0, section.size)]
        # Each entry refers to the branch, to its target, and to the key.
        for code, target in zip(places[0::3], places[1::3], strict=False):
            if code is not None and target is not None and code[0] == target[0]:
                found[code].append(target[1])
    return found
