# SPDX-License-Identifier: GPL-2.0-or-later
"""Which unit of the patched object is which of the original.

Names decide where the author wrote them.  Where the compiler numbered them (``foo.12``,
``foo.isra.0``), the functions that use a variable decide, and what stays in doubt is refused:
taking the wrong static variable would share the wrong state.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from suture.diff.files import SourceFiles, pair_files, pair_neighbours
from suture.elf.object import SHF_WRITE
from suture.errors import AMBIGUOUS_LOCAL, FUNCTIONS_MERGED, Refusal
from suture.objects.locals import DATA, base, is_cold, is_numbered, parent
from suture.objects.view import ToUnit, Unit, View

TYPE_ID = "__BTF_ID__"


@dataclass(frozen=True, slots=True)
class Correlation:
    """:ivar original: of a patched unit, the original one; a unit that is not there is new."""

    original: Mapping[Unit, Unit]

    def has(self, original: Unit, patched: Unit) -> bool:
        return self.original.get(patched) == original


def correlate(original: View, patched: View) -> Correlation:
    """Pair the units of two objects that were made from two versions of one source file.

    :raises Refusal: ``ambiguous-local``, ``functions-merged``
    """
    pairs: dict[Unit, Unit] = {}
    _by_written_name(original, patched, pairs)
    _functions_by_base(original, patched, pairs)
    _type_ids_by_place(original, patched, pairs)
    pair_namesakes(original, patched, pairs)
    _variables_by_users(original, patched, pairs)
    return Correlation(pairs)


def _by_written_name(original: View, patched: View, pairs: dict[Unit, Unit]) -> None:
    paired: dict[Unit, Unit] = {}
    for unit in patched.units:
        if patched.is_private(unit) or (is_numbered(unit.name) and not unit.is_function):
            continue
        namesakes = {
            before
            for name in (unit.name, *unit.aliases)
            for before in _namesakes(original, patched, unit, name)
        }
        if len(namesakes) > 1:
            raise _merged(patched, unit, sorted(before.name for before in namesakes))
        for before in namesakes:
            if before in paired:
                raise _merged(patched, before, sorted([unit.name, paired[before].name]))
            pairs[unit] = before
            paired[before] = unit


def _namesakes(original: View, patched: View, unit: Unit, name: str) -> list[Unit]:
    """The original's unit of that name, if it and the patched one are the only ones."""
    candidates = [
        before
        for before in original.by_name.get(name, ())
        if before.is_function == unit.is_function
    ]
    return candidates if len(candidates) == 1 and len(patched.by_name[name]) == 1 else []


def _merged(patched: View, unit: Unit, names: list[str]) -> Refusal:
    """GCC makes functions with equal code one (``-fipa-icf``); which of them a caller meant is
    lost."""
    which = " and ".join(names)
    return Refusal(
        FUNCTIONS_MERGED,
        f"{patched.obj.name}: {unit.name}",
        f"{which} are one thing on one side only",
    )


def _functions_by_base(original: View, patched: View, pairs: dict[Unit, Unit]) -> None:
    """``foo.isra.0`` may have become ``foo.constprop.0`` or plain ``foo``: the same if there is one
    of each."""
    taken = set(pairs.values())
    left = _grouped(unit for unit in original.units if unit.is_function and unit not in taken)
    right = _grouped(unit for unit in patched.units if unit.is_function and unit not in pairs)
    for name, units in right.items():
        others = left.get(name, [])
        if len(units) == len(others) == 1:
            pairs[units[0]] = others[0]


def _type_ids_by_place(original: View, patched: View, pairs: dict[Unit, Unit]) -> None:
    """Entries of ``.BTF_ids`` are named after the line that they stand in (include/linux/btf_ids.h:
    __ID())."""
    before, after = (
        sorted(_type_ids(view), key=lambda unit: unit.start) for view in (original, patched)
    )
    if [_type(unit) for unit in before] == [_type(unit) for unit in after]:
        pairs.update(zip(after, before, strict=True))


def _type_ids(view: View) -> Iterator[Unit]:
    return (
        unit
        for unit in view.units
        if view.section(unit).name == ".BTF_ids" and unit.name.startswith(TYPE_ID)
    )


def _type(unit: Unit) -> str:
    """``__BTF_ID__struct__sock__21987``: counter and line at its end."""
    return re.sub(r"__[0-9]+$", "", unit.name)


def _grouped(units: Iterable[Unit]) -> dict[tuple[str, bool], list[Unit]]:
    groups: dict[tuple[str, bool], list[Unit]] = defaultdict(list)
    for unit in units:
        groups[base(unit.name), is_cold(unit.name)].append(unit)
    return groups


def _variables_by_users(original: View, patched: View, pairs: dict[Unit, Unit]) -> None:
    """A numbered variable is the one that the same functions use.

    Where that leaves a doubt, a variable with state is refused; a constant has none, and is new.
    """
    before = _numbered_variables(original)
    after = _numbered_variables(patched)
    if not after:
        return
    users_before = _users(original, {before: after for after, before in pairs.items()})
    users_after = _users(patched, {after: after for after in pairs})
    found: dict[Unit, Unit] = {}
    for name, units in after.items():
        candidates, others = (
            _by_user(before.get(name, []), users_before),
            _by_user(units, users_after),
        )
        for unit in units:
            users = users_after[unit]
            fitting = list(dict.fromkeys(c for user in users for c in candidates[user]))
            rivals = list(dict.fromkeys(other for user in users for other in others[user]))
            if fitting:
                chosen = _choose(patched, name, unit, rivals, fitting)
                if chosen is not None:
                    found[unit] = chosen
        _refuse_doubtful(patched, name, units, before.get(name, []), found)
    counts = Counter(found.values())
    pairs.update({unit: before for unit, before in found.items() if counts[before] == 1})


def _by_user(variables: Iterable[Unit], users: Mapping[Unit, set[Unit]]) -> dict[Unit, list[Unit]]:
    """Of each function, those of the variables that it uses."""
    found: dict[Unit, list[Unit]] = defaultdict(list)
    for variable in variables:
        for user in users[variable]:
            found[user].append(variable)
    return found


def _refuse_doubtful(
    patched: View,
    name: str,
    units: Sequence[Unit],
    candidates: Sequence[Unit],
    found: Mapping[Unit, Unit],
) -> None:
    """A variable without users in common is new, unless one of the original's is left over: that
    may have moved."""
    chosen = [found[unit] for unit in units if unit in found and _has_state(patched, unit)]
    new = [unit for unit in units if unit not in found and _has_state(patched, unit)]
    counts = Counter(chosen)
    left = [candidate for candidate in candidates if candidate not in counts]
    twice = any(count > 1 for count in counts.values())
    if twice or (new and left):
        raise Refusal(
            AMBIGUOUS_LOCAL,
            patched.obj.name,
            f"static variables named {name} ({len(candidates)} before, {len(units)} now) are used by other functions",
        )


def _choose(
    patched: View, name: str, unit: Unit, rivals: Sequence[Unit], fitting: Sequence[Unit]
) -> Unit | None:
    """Several of one name in one function (inner blocks) keep the order in which the compiler
    numbered them."""
    if len(rivals) != len(fitting):
        if not _has_state(patched, unit):
            return None
        raise Refusal(
            AMBIGUOUS_LOCAL,
            patched.obj.name,
            f"{len(fitting)} static variables named {name} have become {len(rivals)}",
        )
    chosen = sorted(fitting, key=_number)[sorted(rivals, key=_number).index(unit)]
    if chosen.size != unit.size:
        if not _has_state(patched, unit):
            return None
        sizes = f"from {chosen.size} to {unit.size} bytes"
        raise Refusal(
            AMBIGUOUS_LOCAL, patched.obj.name, f"static variable {name} changes size {sizes}"
        )
    return chosen


def _has_state(view: View, unit: Unit) -> bool:
    return bool(view.section(unit).flags & SHF_WRITE)


def _number(unit: Unit) -> tuple[int, ...]:
    """GCC numbers declarations in source order, downwards or upwards; both sides do it alike."""
    return tuple(int(part) for part in unit.name.split(".") if re.fullmatch("[0-9]{1,18}", part))


def _numbered_variables(view: View) -> dict[str, list[Unit]]:
    groups: dict[str, list[Unit]] = defaultdict(list)
    for unit in view.units:
        # __UNIQUE_ID_* in .modinfo, .discard.addressable and the like are nobody's state; sections
        # are compared whole.
        is_variable = view.section(unit).name.startswith(DATA) and not unit.is_function
        if is_variable and is_numbered(unit.name) and not view.is_private(unit):
            groups[base(unit.name)].append(unit)
    return groups


def _users(view: View, known: Mapping[Unit, Unit]) -> Mapping[Unit, set[Unit]]:
    """Which of the units that are paired already use a unit, themselves or through data that is not
    paired.

    :param known: unit of this object -> how to call it in the answer.
    """
    referred: dict[Unit, set[Unit]] = defaultdict(set)
    for unit in view.units:
        if view.section(unit).is_allocated:
            targets = (reference.target for reference in view.references(unit))
            referred[_whole(view, unit)].update(
                target.unit for target in targets if isinstance(target, ToUnit)
            )
    users: dict[Unit, set[Unit]] = defaultdict(set)
    for user, name in known.items():
        # From each user onwards, so that a chain of data is walked once for those that use it, not
        # for each link.
        seen, todo = {user}, [user]
        while todo:
            for unit in referred.get(todo.pop(), set()) - seen:
                seen.add(unit)
                users[unit].add(name)
                if unit not in known and not unit.is_function:
                    todo.append(unit)
    return users


def _whole(view: View, unit: Unit) -> Unit:
    """The function that the compiler split off a ``.cold`` or ``.part`` from."""
    if not unit.is_function:
        return unit
    owners = (view.by_name.get(name, ()) for name in (parent(unit.name), base(unit.name)))
    return next((owner[0] for owner in owners if len(owner) == 1 and owner[0] != unit), unit)


# --- static functions and variables of one name in several source files that were linked into one object (``xfs.o``)


def pair_namesakes(original: View, patched: View, pairs: dict[Unit, Unit]) -> None:
    """Pair what is left of them by source file, or where no ``STT_FILE`` symbols say which that is,
    by neighbours.

    :raises Refusal: ``ambiguous-local`` where neither tells: a change could be missed, or be made
        to another function
    """
    taken = set(pairs.values())
    left = [unit for unit in original.units if unit not in taken and _is_named(original, unit)]
    right = [unit for unit in patched.units if unit not in pairs and _is_named(patched, unit)]
    names = {(unit.name, unit.is_function) for unit in left}
    right = [unit for unit in right if (unit.name, unit.is_function) in names]
    if not right:
        return
    here, there = SourceFiles(original.obj), SourceFiles(patched.obj)
    found = (
        _by_file(left, here, right, there)
        if here.names and there.names
        else _by_place(left, here, right, there)
    )
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


def _by_file(
    left: Iterable[Unit], here: SourceFiles, right: Iterable[Unit], there: SourceFiles
) -> dict[Unit, Unit]:
    files = pair_files(here.names, there.names)
    before = [(here.file_of(unit), unit.name, unit.is_function) for unit in left]
    after = [(files.get(there.file_of(unit)), unit.name, unit.is_function) for unit in right]
    twice = {
        key
        for keys in (Counter(before), Counter(after))
        for key, count in keys.items()
        if count > 1
    }
    known = dict(zip(before, left, strict=True))
    return {
        unit: known[file, name, kind]
        for unit, (file, name, kind) in zip(right, after, strict=True)
        if file is not None and (file, name, kind) in known and (file, name, kind) not in twice
    }


def _by_place(
    left: Iterable[Unit], here: SourceFiles, right: Iterable[Unit], there: SourceFiles
) -> dict[Unit, Unit]:
    places = pair_neighbours(here.order, there.order)
    known = {here.position(unit): unit for unit in left}
    found = {}
    for unit in right:
        position = there.position(unit)
        before = None if position is None else known.get(places.get(position))
        if before is not None and before.is_function == unit.is_function:
            found[unit] = before
    return found
