# SPDX-License-Identifier: GPL-2.0-or-later
"""Static variables that the patch calls by another name: the running kernel's state is in the old
one.

A variable that vanishes and one that appears, of the same size and used by the same functions, are
one variable to the author.  Taken for a new one, it would begin with its initial value.  Example:
``static LIST_HEAD(misc_list)`` in drivers/char/misc.c becomes ``misc_devices``; the new code would
see an empty list, and all misc devices would be gone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from suture.diff.changes import Changes
from suture.diff.comparison import is_once_only
from suture.diff.correlate import users_by_unit
from suture.elf.object import SHF_WRITE
from suture.errors import STATE_RENAMED, Finding
from suture.objects.locals import DATA, base
from suture.objects.view import Unit, View


def renamed_state(changes: Changes) -> Iterator[Finding]:
    """Find each static variable that vanishes where one like it appears (``state-renamed``)."""
    original, patched = changes.original.view, changes.patched.view
    original_of = changes.correlation.original
    known = set(original_of.values())
    vanished = [unit for unit in _variables(original) if unit not in known]
    appeared = [unit for unit in _variables(patched) if unit not in original_of]
    if not vanished or not appeared:
        return
    before = users_by_unit(original, {old: new for new, old in original_of.items()})
    after = users_by_unit(patched, {new: new for new in original_of})
    for old, new in itertools.product(vanished, appeared):
        users = sorted(unit.name for unit in before[old] & after[new])
        if users and old.size == new.size:
            found = (
                f"{base(old.name)} goes and {base(new.name)} comes, of the same {old.size} bytes, "
                f"and {users[0]}() uses both"
            )
            yield Finding(STATE_RENAMED, base(new.name), patched.obj.name, found)


def _variables(view: View) -> Iterator[Unit]:
    """Yield the static variables with state of their own."""
    for unit in view.units:
        section = view.section(unit)
        if (
            unit.is_local
            and not unit.is_function
            and unit.size
            and section.flags & SHF_WRITE
            and section.name.startswith(DATA)
            and not is_once_only(section)
            and not view.is_private(unit)
        ):
            yield unit
