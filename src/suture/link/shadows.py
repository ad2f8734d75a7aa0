# SPDX-License-Identifier: GPL-2.0-or-later
"""The shadow variables that a module's code uses (kernel/livepatch/shadow.c).

The kernel knows a shadow variable by its number alone, the argument ``id`` of
``klp_shadow_alloc()`` and its kin.  In nearly all code the number is a constant, and the
instruction that loads it for the call shows it.
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
"""Function of include/linux/livepatch.h -> position of its argument ``id``, from 0."""


def used_by(module: ObjectFile) -> tuple[ShadowVariable, ...]:
    """Return each shadow variable once, by ascending number.

    Those with a number that the code computes at run time become one with no number, the last.

    For example, in the kernel's samples/livepatch/livepatch-shadow-fix1.c, ``SV_LEAK`` is 1 and is
    the second argument of ``klp_shadow_alloc(d, SV_LEAK, ...)``: x86 code has ``mov $0x1,%esi``
    before the call.
    """
    view = View(module)
    numbers: set[int | None] = set()
    for unit in view.units:
        if unit.is_function:
            numbers.update(_numbers(view, unit))
    ordered = sorted(numbers, key=lambda number: (number is None, number or 0))
    return tuple(ShadowVariable(number) for number in ordered)


def _numbers(view: View, unit: Unit) -> list[int | None]:
    """Return the number in each call of a function, in order; None for one that is no constant."""
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
    relocated = frozenset(reference.offset for reference in references)
    return view.obj.arch.effects.arguments(view.data(unit), relocated, calls)
