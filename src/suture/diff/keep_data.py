# SPDX-License-Identifier: GPL-2.0-or-later
"""Variables whose initial value the patch changes and that stay as they are in the running kernel,
as the author says.

An initial value may matter only when the variable comes into being: a mutex that is initialised by
its definition now and was by a function before, or one more entry in a table by which devices are
found when a driver is registered. Whether what the kernel holds is right, nobody but the author can
know; what cannot be right is refused here.
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


def kept(view: View, after: Unit) -> OmittedPart:
    """What is told of a variable that stays as it is."""
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
    """Why a variable cannot be meant to stay as it is; each completes "it ...".

    :param words: offsets of the machine words that differ, where its size is the same.
    :param used: what new code of the live patch refers to.
    """
    original = comparison.original.view
    old, new = original.section(before), comparison.patched.view.section(after)
    if old.flags & SHF_WRITE:
        # What has an initial value is most often left at it; what has none is set up by code.
        references = {reference.offset for reference in original.references(before)}
        data = original.data(before)
        for at in sorted(words):
            if any(data[at : at + WORD]) or not references.isdisjoint(range(at, at + WORD)):
                yield f"had an initial value at +{at:#x} before the patch, and nothing shows that it has another now"
    if after not in used:
        return  # whoever uses it was compiled for what it is
    if before.size != after.size:
        yield f"changes its size from {before.size} to {after.size} bytes, and changed code uses it"
    if old.flags != new.flags:
        yield f"moves from {old.name} to {new.name}, and changed code uses it"
    if not old.flags & SHF_WRITE:
        yield "is constant, so it is what it was, and changed code uses it"


def used_by_new_code(
    view: View, correlation: Correlation, changed: Collection[Unit]
) -> frozenset[Unit]:
    """The variables that changed code refers to, itself or through what comes along with it.

    :param changed: functions that are replaced, and what is new and global; all new functions count
        besides.
    """
    whole = {unit.name for unit in changed}
    cold = [unit for unit in view.units if is_cold(unit.name) and parent(unit.name) in whole]
    found: set[Unit] = set()
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
            found.add(unit)
            if unit not in seen and (unit not in correlation.original or view.is_private(unit)):
                seen.add(unit)
                todo.append(unit)
    return frozenset(found)
