# SPDX-License-Identifier: GPL-2.0-or-later
"""Variables that keep their old value although the patch changes it, as the author says
(`--keep-data`).

An initial value may only matter when a variable is created: a mutex that its definition initialises
now and a function did before, or a new entry in a table that is read when a driver is registered.
Only the author knows whether the value in the running kernel is right; one that cannot be right is
refused here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from suture.diff.comparison import Comparison, is_once_only
from suture.diff.correlate import Correlation
from suture.diff.omitted import OmittedPart, Reason
from suture.elf.object import SHF_WRITE, WORD
from suture.errors import DATA_CHANGED
from suture.objects.locals import base, is_cold, parent
from suture.objects.view import ToUnit, Unit, View

_AS_IT_IS = "it stays as it is in the running kernel, as --keep-data says"
KEPT = Reason(
    DATA_CHANGED,
    _AS_IT_IS,
    f"{_AS_IT_IS}; a module that is loaded after the live patch has the old value",
)


def kept_part(view: View, after: Unit) -> OmittedPart:
    """Return the report on a variable that stays as it is."""
    return OmittedPart(
        f"the changed initial value of {base(after.name)}", view.section(after).name, KEPT
    )


def reasons_not_to_keep(
    comparison: Comparison,
    before: Unit,
    after: Unit,
    words: Collection[int],
    used: Collection[Unit],
) -> Iterator[str]:
    """Yield the reasons why a variable cannot stay as it is; each completes "it ...".

    :param words: offsets of the machine words that differ, if its size is the same.
    :param used: units that new code of the live patch refers to.
    """
    original = comparison.original.view
    old, new = original.section(before), comparison.patched.view.section(after)
    if old.flags & SHF_WRITE:
        # A variable with an initial value usually keeps it; one without is set up by code.
        references = {reference.offset for reference in original.references(before)}
        data = original.data(before)
        for at in sorted(words):
            if any(data[at : at + WORD]) or not references.isdisjoint(range(at, at + WORD)):
                yield (
                    f"had an initial value at +{at:#x} before the patch, "
                    "and nothing shows that it has another now"
                )
    if before.size != after.size:
        yield f"changes its size from {before.size} to {after.size} bytes"
    if after not in used:
        return  # its users were compiled for the variable as it is
    if old.flags != new.flags:
        yield f"moves from {old.name} to {new.name}, and changed code uses it"
    if not old.flags & SHF_WRITE:
        yield "is constant, so it has its old value, and changed code uses it"


def used_by_new_code(
    view: View, correlation: Correlation, changed: Collection[Unit]
) -> frozenset[Unit]:
    """Return the units that changed code refers to, directly or through units copied with it.

    :param changed: replaced functions, and new global units; all new functions are added.
    """
    names = {unit.name for unit in changed}
    cold = [unit for unit in view.units if is_cold(unit.name) and parent(unit.name) in names]
    used: set[Unit] = set()
    functions = (
        unit for unit in view.units if unit.is_function and not is_once_only(view.section(unit))
    )
    seen = {*changed, *cold, *(unit for unit in functions if unit not in correlation.original)}
    todo = list(seen)
    while todo:
        for reference in view.references(todo.pop()):
            if not isinstance(reference.target, ToUnit):
                continue
            unit = reference.target.unit
            used.add(unit)
            if unit not in seen and (unit not in correlation.original or view.is_private(unit)):
                seen.add(unit)
                todo.append(unit)
    return frozenset(used)
