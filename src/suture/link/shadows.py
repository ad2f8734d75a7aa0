# SPDX-License-Identifier: GPL-2.0-or-later
"""The shadow variables that a module's code uses: the numbers with which it calls the kernel's
functions for them.

Whatever a patch was written for, this is what becomes of its shadow variables
(kernel/livepatch/shadow.c), and the number is all that the kernel knows of one.  It is a constant
in nearly all code, and is read from the instruction that puts it in place for the call.
"""

from __future__ import annotations

from collections.abc import Mapping

from suture.elf.object import ObjectFile
from suture.model import ShadowVariable
from suture.objects.view import ToUndefined, Unit, View

NUMBER_IN: Mapping[str, int] = {
    "klp_shadow_alloc": 1,
    "klp_shadow_get_or_alloc": 1,
    "klp_shadow_get": 1,
    "klp_shadow_free": 1,
    "klp_shadow_free_all": 0,
}
"""Function of include/linux/livepatch.h -> the place of its argument ``id``, from 0."""


def used_by(module: ObjectFile) -> tuple[ShadowVariable, ...]:
    """Each once, in the order of their numbers; those whose number is worked out at run time are
    one, the last."""
    view = View(module)
    numbers = {number for unit in view.units if unit.is_function for number in _numbers(view, unit)}
    return tuple(
        ShadowVariable(one) for one in sorted(numbers, key=lambda one: (one is None, one or 0))
    )


def _numbers(view: View, unit: Unit) -> list[int | None]:
    references = list(view.references(unit))
    calls = {
        reference.offset: NUMBER_IN[reference.target.name]
        for reference in references
        if reference.is_branch
        and isinstance(reference.target, ToUndefined)
        and reference.target.name in NUMBER_IN
    }
    if not calls:
        return []
    relocated = frozenset(one.offset for one in references)
    return view.obj.arch.effects.arguments(view.data(unit), relocated, calls)
