# SPDX-License-Identifier: GPL-2.0-or-later
"""Uses of a variable by the code and data of one object: reads, writes, and uses of its address."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from enum import Enum, auto

from suture.arch.effects import Access
from suture.objects.special import sections
from suture.objects.view import Reference, ToUnit, Unit, View

DISCARDED = (".discard", ".debug")
"""Never part of the kernel (include/asm-generic/vmlinux.lds.h: DISCARDS)."""


class VariableUse(Enum):
    """How code or data uses a variable."""

    READ = auto()
    STORE = auto()
    ADDRESS = auto()
    """The address is stored, computed with, or passed on: other code may write through it."""
    SPECIAL = auto()
    """A special section has an entry about it, as for a static key."""


OF_CODE = {
    Access.READ: VariableUse.READ,
    Access.STORE: VariableUse.STORE,
    Access.ADDRESS: VariableUse.ADDRESS,
}


def variable_uses(
    view: View, unit: Unit, within: Collection[int] | None = None
) -> Mapping[VariableUse, list[str]]:
    """Map each kind of use to the functions, variables or sections that use a variable.

    :param within: offsets of the bytes that matter; code that only reads or writes other bytes is
        left out.
    """
    users: dict[VariableUse, list[str]] = {use: [] for use in VariableUse}
    for user, use in _uses(view, unit, within):
        if user not in users[use]:
            users[use].append(user)
    return users


def _uses(
    view: View, unit: Unit, within: Collection[int] | None
) -> Iterator[tuple[str, VariableUse]]:
    special = sections(view.obj.arch)
    for index in view.obj.relocations:
        section = view.obj.sections[index]
        if not section.is_allocated or section.name.startswith(DISCARDED):
            continue
        for user, start, end in _ranges(view, index):
            for reference, offset in _references_to(view, unit, index, start, end):
                if section.name in special:
                    yield section.name, VariableUse.SPECIAL
                    continue
                use: VariableUse | None = VariableUse.ADDRESS
                if section.is_code:
                    use = _code_use(view, section.data[start:end], reference, offset, within)
                if use is not None:
                    yield user, use


def _references_to(
    view: View, unit: Unit, section: int, start: int, end: int
) -> Iterator[tuple[Reference, int]]:
    """Yield the references of a range to a unit, each with the offset in the unit."""
    for reference in view.references_in(section, start, end):
        match reference.target:
            case ToUnit(target, offset) if target == unit:
                yield reference, offset


def _code_use(
    view: View, code: bytes, reference: Reference, offset: int, within: Collection[int] | None
) -> VariableUse | None:
    """Return how code uses a variable; None if it only accesses bytes outside `within`."""
    access, size = view.obj.arch.effects.access(code, reference.offset)
    accessed = range(offset, offset + size)
    if within is not None and accessed and not any(at in within for at in accessed):
        return None
    return OF_CODE[access]


def _ranges(view: View, index: int) -> list[tuple[str, int, int]]:
    """Return the units of a section by name, or the section itself if it has none."""
    units = view.units_in(index)
    if not units:
        return [(view.obj.sections[index].name, 0, view.obj.sections[index].size)]
    return [(f"{u.name}()" if u.is_function else u.name, u.start, u.end) for u in units]
