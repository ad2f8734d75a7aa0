# SPDX-License-Identifier: GPL-2.0-or-later
"""Uses of a function in one object file: calls, which planning follows, and its address."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from suture.diff.changes import Changes, owner
from suture.diff.comparison import Side
from suture.diff.sections import IGNORED
from suture.errors import FUNCTION_NOT_TRACEABLE, Refusal
from suture.objects.locals import is_cold
from suture.objects.special import sections
from suture.objects.view import Reference, ToUndefined, ToUnit, Unit, View

EXPORTS = ("__ksymtab", "___ksymtab", "__kcrctab", "___kcrctab", ".export_symbol")
"""Sections of ``EXPORT_SYMBOL()``; the modules that link with an export are searched one by one."""

HARMLESS = (*EXPORTS, *IGNORED, "_kprobe_blacklist", "_error_injection_whitelist")
"""Sections that hold a function's address but do not call it (``NOKPROBE_SYMBOL()`` of
include/asm-generic/kprobes.h, ``ALLOW_ERROR_INJECTION()`` of
include/asm-generic/error-injection.h)."""

HOOKS = ("__mcount_loc", "__patchable_function_entries")


@dataclass(frozen=True, slots=True)
class Users:
    """The users of a function in one object.

    :ivar callers: functions that call it or jump to its start, without itself; a ``.cold`` part
        counts as its function.
    :ivar address_uses: other uses of its address, in words.
    """

    callers: tuple[Unit, ...] = ()
    address_uses: tuple[str, ...] = ()


class Usage:
    """The users of every function of one object, and of the symbols that others define."""

    def __init__(self, side: Side) -> None:
        self._side = side

    def of(self, function: Unit | str) -> Users:
        """Return the users of a function.

        :param function: a function of the object, or the name of a symbol that another object
            defines.
        """
        callers: dict[Unit, None] = {}
        address_uses: dict[str, None] = {}
        for user, place, reference, offset in self._found.get(function, ()):
            if user is not None and user == function and (offset or reference.is_branch):
                continue  # loops, labels and recursion
            if user is None and offset:
                continue  # an alternative that leads back into the code around it (asm goto)
            if reference.is_branch and offset == 0 and user is not None:
                callers[user] = None
            elif reference.is_branch:
                address_uses[f"{place} jumps into it"] = None
            elif offset == 0:
                address_uses[f"{place} takes its address"] = None
        return Users(tuple(callers), tuple(address_uses))

    @cached_property
    def _found(self) -> dict[Unit | str, list[tuple[Unit | None, str, Reference, int]]]:
        """Function or name -> its references: the user (None if that is no function), the place in
        words, the reference, the offset that it leads to."""
        found: dict[Unit | str, list[tuple[Unit | None, str, Reference, int]]] = defaultdict(list)
        for user, place, reference in _references(self._side):
            match reference.target:
                case ToUnit(unit, offset) if unit.is_function:
                    found[whole_function(self._side.view, unit)].append(
                        (user, place, reference, _depth(unit, offset))
                    )
                case ToUndefined(name, offset):
                    found[name].append((user, place, reference, offset))
        return found


def is_hookable(side: Side, function: Unit) -> bool:
    """Whether a function has the fentry call through which ftrace redirects it."""
    entries = side.entries.within(function.section, function.start, function.end)
    return any(entry.special.name in HOOKS for entry in entries)


def refuse_unhookable(changes: Changes) -> None:
    """Refuse changed functions without an fentry call, where callers cannot be searched for.

    :raises Refusal: ``function-not-traceable``
    """
    for before, after in changes.changed:
        if not is_hookable(changes.original, before):
            name = changes.patched.view.obj.name
            raise Refusal(FUNCTION_NOT_TRACEABLE, name, f"{after.name}() has no fentry call")


def whole_function(view: View, unit: Unit) -> Unit:
    """Return the function that a ``.cold`` part belongs to; any other unit is returned as it is."""
    if not is_cold(unit.name):
        return unit
    return owner(view, unit) or unit


def _depth(unit: Unit, offset: int) -> int:
    """Return the offset in a function; -1 in a ``.cold`` part, never the function's start."""
    return -1 if is_cold(unit.name) else offset


def _references(side: Side) -> Iterator[tuple[Unit | None, str, Reference]]:
    """Yield the references of an object, each with its user and its place in words."""
    view = side.view
    special = sections(view.obj.arch)
    for index, section in enumerate(view.obj.sections):
        if (
            not section.is_allocated
            or section.name.startswith(HARMLESS)
            or not view.relocations(index, 0, section.size)
        ):
            continue
        if section.name in special:
            yield from _special_references(side, index)
        elif section.is_code and view.units_in(index):
            yield from _code_references(view, index)
        else:
            for reference in view.references_in(index, 0, section.size):
                unit_there = view.unit_at(index, reference.offset)
                place = section.name if unit_there is None else unit_there.name
                yield None, place, reference


def _code_references(view: View, index: int) -> Iterator[tuple[Unit | None, str, Reference]]:
    end = 0
    for unit in view.units_in(index):
        if end < unit.start:  # assembly that no function symbol names
            for reference in view.references_in(index, end, unit.start):
                yield None, view.section(unit).name, reference
        end = max(end, unit.end)
        user = whole_function(view, unit)
        # A static call's trampoline is rewritten at run time (include/linux/static_call.h).
        caller = None if user.name.startswith("__SCT__") else user
        for reference in view.references(unit):
            yield caller, f"{user.name}()", reference
    section = view.obj.sections[index]
    for reference in view.references_in(index, min(end, section.size), section.size):
        yield None, section.name, reference


def _special_references(side: Side, index: int) -> Iterator[tuple[Unit | None, str, Reference]]:
    """Yield the references of entries except the first, to the code that an entry is about."""
    view = side.view
    for entry in side.entries.of_section(index):
        references = list(view.references_in(entry.section, entry.start, entry.end))
        about = view.unit_at(entry.code, entry.place)
        user = None if about is None or not about.is_function else whole_function(view, about)
        for reference in references[1:]:
            # An entry about a function may refer to its labels (exception tables, static
            # branches).
            if user is None or _function(view, reference) != user:
                yield None, entry.special.name, reference


def _function(view: View, reference: Reference) -> Unit | None:
    target = reference.target
    return (
        whole_function(view, target.unit)
        if isinstance(target, ToUnit) and target.unit.is_function
        else None
    )
