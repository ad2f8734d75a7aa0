# SPDX-License-Identifier: GPL-2.0-or-later
"""The code and data of a live patch, over all of its output objects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property

from suture.arch.decoding import Flow
from suture.arch.effects import CallConvention
from suture.diff.output import ENTRY
from suture.elf.object import SHF_WRITE, STB_GLOBAL, ObjectFile
from suture.objects.locals import base, is_cold, parent
from suture.objects.special import JUMP_TABLE
from suture.objects.view import Reference, ToUndefined, ToUnit, Unit, View


class Leads(Enum):
    """The most that data leads to."""

    NOWHERE = auto()
    TO_THE_KERNEL = auto()
    TO_THE_LIVE_PATCH = auto()
    """To a function, or from a constant to a variable."""


@dataclass(frozen=True, eq=False)
class LiveUnit:
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


class LiveCode:
    """The units of all output objects of a live patch.

    :ivar views: the objects.
    :ivar globals: the units that other objects of the live patch refer to, by name.
    """

    def __init__(self, objects: Sequence[ObjectFile]) -> None:
        self.views = [View(obj) for obj in objects]
        self._places: dict[tuple[int, Unit], LiveUnit] = {}
        self.globals: dict[str, LiveUnit] = {}
        for view in self.views:
            for symbol in view.obj.symbols:
                if symbol.bind == STB_GLOBAL and symbol.is_defined_here:
                    unit = view.unit_at(symbol.shndx, symbol.value)
                    if unit is not None:
                        self.globals[symbol.name] = self.place(view, unit)
        self._known_leads: dict[LiveUnit, Leads] = {}
        self._jumps = {number: _jumps(view) for number, view in enumerate(self.views)}

    def place(self, view: View, unit: Unit) -> LiveUnit:
        """Return the one value for a unit."""
        key = id(view), unit
        if key not in self._places:
            self._places[key] = LiveUnit(view, unit)
        return self._places[key]

    def jumps(self, place: LiveUnit, at: int) -> Collection[int]:
        """Return the offsets to which a static branch at an offset of a function may jump."""
        number = self.views.index(place.view)
        start = place.unit.start
        targets = self._jumps[number].get((place.unit.section, start + at), ())
        return [target - start for target in targets]

    def target(self, view: View, reference: Reference) -> tuple[LiveUnit, int] | None:
        """Return the unit of the live patch that a reference leads to, and the offset in it."""
        match reference.target:
            case ToUnit(unit, offset):
                return self.place(view, unit), offset
            case ToUndefined(name, offset) if name in self.globals:
                return self.globals[name], offset
        return None

    def whole(self, place: LiveUnit) -> LiveUnit:
        """Return the function that a ``.cold`` part belongs to; any other unit itself."""
        if not is_cold(place.unit.name):
            return place
        units = place.view.by_name.get(parent(place.unit.name), ())
        return self.place(place.view, units[0]) if len(units) == 1 else place

    def callers(self, function: LiveUnit) -> Sequence[tuple[LiveUnit, int | None]] | None:
        """Return the code of the live patch that calls a function.

        :return: each caller and the offset after the call, None for a jump there; or None if the
            kernel may call the function too.
        """
        if any(name.startswith(ENTRY) for name in function.unit.names):
            return None
        found: list[tuple[LiveUnit, int | None]] = []
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
    def _references(self) -> Sequence[tuple[LiveUnit, Reference]]:
        """All references in code and data, except those in special sections."""
        found: list[tuple[LiveUnit, Reference]] = []
        for view in self.views:
            for unit in view.units:
                place = self.place(view, unit)
                found += [(place, reference) for reference in place.references]
        return found

    def _calls_in_section(self, function: LiveUnit) -> Iterator[tuple[LiveUnit, int | None]]:
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

    def leads(self, place: LiveUnit) -> Leads:
        """Return what data leads to."""
        if place not in self._known_leads:
            self._known_leads[place] = self.leads_from(place.view, *place.range)
        return self._known_leads[place]

    def leads_from(self, view: View, section: int, start: int, end: int) -> Leads:
        """Return what a range of a section leads to.

        Data may lead in circles: an empty list's head points to itself.
        """
        todo, seen = [(view, section, start, end)], set[LiveUnit]()
        found = Leads.NOWHERE
        while todo:
            view, section, start, end = todo.pop()
            writable = bool(view.obj.sections[section].flags & SHF_WRITE)
            for reference in view.references_in(section, start, end):
                target = self.target(view, reference)
                if target is None:
                    if isinstance(reference.target, ToUndefined):
                        found = Leads.TO_THE_KERNEL
                    continue
                place, offset = target
                if place.unit.is_function:
                    if not offset and not is_cold(place.unit.name):
                        return Leads.TO_THE_LIVE_PATCH
                elif place.is_writable and not writable and not place.is_private:
                    return Leads.TO_THE_LIVE_PATCH
                elif place not in seen:
                    seen.add(place)
                    todo.append((place.view, *place.range))
        return found


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
