# SPDX-License-Identifier: GPL-2.0-or-later
"""Static functions and variables of one name in several source files that were linked into one object (``xfs.o``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from suture.diff.files import SourceFiles, pair_files, pair_neighbours
from suture.diff.locals import DATA, is_numbered
from suture.diff.view import Unit, View
from suture.errors import AMBIGUOUS_LOCAL, Refusal


def pair_namesakes(original: View, patched: View, pairs: dict[Unit, Unit]) -> None:
    """Pair what is left of them by source file, or where no ``STT_FILE`` symbols say which that is, by neighbours.

    :raises Refusal: ``ambiguous-local`` where neither tells: a change could be missed, or be made to another function
    """
    taken = set(pairs.values())
    left = [unit for unit in original.units if unit not in taken and _is_named(original, unit)]
    right = [unit for unit in patched.units if unit not in pairs and _is_named(patched, unit)]
    names = {(unit.name, unit.is_function) for unit in left}
    right = [unit for unit in right if (unit.name, unit.is_function) in names]
    if not right:
        return
    here, there = SourceFiles(original.obj), SourceFiles(patched.obj)
    found = _by_file(left, here, right, there) if here.names and there.names else _by_place(left, here, right, there)
    for unit in right:
        if unit not in found:
            raise Refusal(
                AMBIGUOUS_LOCAL,
                patched.obj.name,
                f"nothing tells which {unit.name} is which of those that were there before",
                why="Several static functions or variables have this name, and taking one for another would replace "
                "the wrong code or share the wrong data.",
                remedy="Compare the objects of single source files, or objects that still have their STT_FILE symbols.",
            )
    pairs.update(found)


def _is_named(view: View, unit: Unit) -> bool:
    section = view.section(unit)
    if unit.is_function:
        return unit.is_local and section.is_code
    is_variable = section.name.startswith(DATA) and not is_numbered(unit.name)
    return unit.is_local and is_variable and not view.is_private(unit)


def _by_file(left: Iterable[Unit], here: SourceFiles, right: Iterable[Unit], there: SourceFiles) -> dict[Unit, Unit]:
    files = pair_files(here.names, there.names)
    before = [(here.file_of(unit), unit.name, unit.is_function) for unit in left]
    after = [(files.get(there.file_of(unit)), unit.name, unit.is_function) for unit in right]
    twice = {key for keys in (Counter(before), Counter(after)) for key, count in keys.items() if count > 1}
    known = dict(zip(before, left, strict=True))
    return {
        unit: known[file, name, kind]
        for unit, (file, name, kind) in zip(right, after, strict=True)
        if file is not None and (file, name, kind) in known and (file, name, kind) not in twice
    }


def _by_place(left: Iterable[Unit], here: SourceFiles, right: Iterable[Unit], there: SourceFiles) -> dict[Unit, Unit]:
    places = pair_neighbours(here.order, there.order)
    known = {here.position(unit): unit for unit in left}
    found = {}
    for unit in right:
        position = there.position(unit)
        before = None if position is None else known.get(places.get(position))
        if before is not None and before.is_function == unit.is_function:
            found[unit] = before
    return found
