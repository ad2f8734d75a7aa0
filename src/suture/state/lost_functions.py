# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions that the patch seems to call by another name, where the kernel holds the old one.

`suture.diff.renamed_functions` pairs those that are certain.  Of the others, only left-out code
hands out the new one's address; the running kernel has the old one's, and goes on calling that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from suture.errors import FUNCTION_RENAMED, Finding
from suture.objects.locals import base
from suture.objects.once_only import is_once_only
from suture.objects.view import ToUnit, Unit, View
from suture.state.places import NO_PLACES, Places
from suture.state.reach import Reach


def lost_functions(reach: Reach, places: Places = NO_PLACES) -> Iterator[Finding]:
    """Find each new function that takes the place of one that goes, in code that is left out
    (``function-renamed``).

    :param places: finds their lines.
    """
    for source, changes in reach.files.items():
        original, patched = changes.original.view, changes.patched.view
        known = changes.correlation.original
        kept = frozenset(known.values())
        for before, after in changes.once_only:
            gone = [unit for unit in _given(original, before) if unit not in kept]
            come = [unit for unit in _given(patched, after) if unit not in known]
            for unit in come if gone else ():
                olds = " and ".join(f"{base(old.name)}()" for old in gone)
                name = base(unit.name)
                verb = "goes" if len(gone) == 1 else "go"
                giver = f"{after.name}(), which is left out, hands it out"
                found = f"{olds} {verb} and {name}() comes, and {giver}"
                given = places.of(source, after.name, rf"\b{re.escape(name)}\b")
                evidence = (f"{after.name}() names it in {given}",) if given.line else ()
                where = f"{places.of(source, name)}: {name}()"
                yield Finding(FUNCTION_RENAMED, name, where, found, evidence)


def _given(view: View, function: Unit) -> list[Unit]:
    """Return the functions whose addresses a function hands out."""
    found: dict[Unit, None] = {}
    for reference in view.references(function):
        match reference.target:
            case ToUnit(unit, 0) if unit.is_function and not reference.is_branch:
                if not is_once_only(view.section(unit)):
                    found[unit] = None
    return list(found)
