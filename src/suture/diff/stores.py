# SPDX-License-Identifier: GPL-2.0-or-later
"""What the code and data of one object do with a variable: read it, write it, or take its
address."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum, auto

from suture.arch.effects import Access
from suture.objects.special import sections
from suture.objects.view import ToUnit, Unit, View

DISCARDED = (".discard", ".debug")
"""Never part of the kernel (include/asm-generic/vmlinux.lds.h: DISCARDS)."""


class VariableUse(Enum):
    READ = auto()
    STORE = auto()
    ADDRESS = auto()
    """Kept, computed with, or handed on: whoever gets it may write through it."""
    SPECIAL = auto()
    """An entry of a section that the kernel walks names it: a static key, for one."""


OF_CODE = {
    Access.READ: VariableUse.READ,
    Access.STORE: VariableUse.STORE,
    Access.ADDRESS: VariableUse.ADDRESS,
}


def uses(
    view: View, unit: Unit, within: Collection[int] | None = None
) -> Mapping[VariableUse, list[str]]:
    """Who uses a variable how: names of functions and variables of the same object, or of sections.

    :param within: offsets of the bytes that matter; what is seen to read or write others alone is
        left out.
    """
    found: dict[VariableUse, list[str]] = {use: [] for use in VariableUse}
    special = sections(view.obj.arch)
    effects = view.obj.arch.effects
    for index in view.obj.relocations:
        section = view.obj.sections[index]
        if not section.is_allocated or section.name.startswith(DISCARDED):
            continue
        for user, start, end in _ranges(view, index):
            for reference in view.references_in(index, start, end):
                if not isinstance(reference.target, ToUnit) or reference.target.unit != unit:
                    continue
                if section.name in special:
                    use, user = VariableUse.SPECIAL, section.name
                elif section.is_code:
                    access, size = effects.access(section.data[start:end], reference.offset)
                    use = OF_CODE[access]
                    first = reference.target.offset
                    if (
                        within is not None
                        and size
                        and not any(at in within for at in range(first, first + size))
                    ):
                        continue
                else:
                    use = VariableUse.ADDRESS
                if user not in found[use]:
                    found[use].append(user)
    return found


def _ranges(view: View, index: int) -> list[tuple[str, int, int]]:
    """The units of a section by name, or the section itself where it has none."""
    units = view.units_in(index)
    if not units:
        return [(view.obj.sections[index].name, 0, view.obj.sections[index].size)]
    return [(f"{u.name}()" if u.is_function else u.name, u.start, u.end) for u in units]
