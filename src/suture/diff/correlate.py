# SPDX-License-Identifier: GPL-2.0-or-later
"""Pairing of the units of the patched object with those of the original.

A name that the author wrote decides.  A name that the compiler numbered (``foo.12``,
``foo.isra.0``) does not; for a variable, the functions that use it decide.  A doubtful pair is
refused, because new code with the wrong static variable would share the wrong state.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from suture.diff.files import SourceFiles, pair_files, pair_neighbours
from suture.diff.renamed_functions import renamed_functions
from suture.elf.object import SHF_WRITE
from suture.errors import AMBIGUOUS_LOCAL, FUNCTIONS_MERGED, Refusal
from suture.objects.locals import DATA, base, is_cold, is_numbered, parent
from suture.objects.view import ToUnit, Unit, View

T = TypeVar("T")

TYPE_ID = "__BTF_ID__"


@dataclass(frozen=True, slots=True)
class Correlation:
    """The pairs of units.

    :ivar original: patched unit -> original unit; a patched unit that is missing is new.
    """

    original: Mapping[Unit, Unit]

    def has(self, original: Unit, patched: Unit) -> bool:
        """Whether two units are a pair."""
        return self.original.get(patched) == original


def correlate(original: View, patched: View) -> Correlation:
    """Pair the units of two objects that were compiled from two versions of one source file.

    Each level pairs units that the levels before it left, with one real example:

    1. Name: ``loop_reread_partitions()`` of drivers/block/loop.c.
    2. Name of a function without the compiler's suffix: ``lo_rw_aio.isra.0`` becomes ``lo_rw_aio``
       when a patch uses an argument that GCC had removed.
    3. Order, for type IDs: ``__BTF_ID__func__cgroup_rstat_updated__333547`` is on line 547 of
       kernel/cgroup/rstat.c, and has another name on any other line.
    4. Source file or neighbours, in objects linked of several files: ``bluetooth.ko`` has
       ``cancel_interleave_scan()`` of hci_request.c and of hci_sync.c.
    5. Place, for static functions under another name: `suture.diff.renamed_functions`.
    6. Users, for numbered variables: kernel/cgroup/cpuset.c has a ``new_cpus`` in
       ``cpuset_hotplug_update_tasks()`` and another in ``cpuset_hotplug_workfn()``; a kernel lists
       them as ``new_cpus.1`` and ``new_cpus.4``, and one more static variable shifts the numbers.

    :raises Refusal: ``ambiguous-local``, ``functions-merged``
    """
    pairs: dict[Unit, Unit] = {}
    _by_written_name(original, patched, pairs)
    _functions_by_base(original, patched, pairs)
    _type_ids_by_place(original, patched, pairs)
    pair_namesakes(original, patched, pairs)
    pairs.update(renamed_functions(original, patched, pairs))
    _variables_by_users(original, patched, pairs)
    return Correlation(pairs)


def _by_written_name(original: View, patched: View, pairs: dict[Unit, Unit]) -> None:
    """Pair units by their names; private data and numbered variables are left to later levels."""
    paired: dict[Unit, Unit] = {}
    for unit in patched.units:
        if patched.is_private(unit) or (is_numbered(unit.name) and not unit.is_function):
            continue
        namesakes: set[Unit] = set()
        for name in unit.names:
            namesakes.update(_namesakes(original, patched, unit, name))
        if len(namesakes) > 1:
            raise _merged(patched, unit, sorted(before.name for before in namesakes))
        for before in namesakes:
            if before in paired:
                raise _merged(patched, before, sorted([unit.name, paired[before].name]))
            pairs[unit] = before
            paired[before] = unit


def _namesakes(original: View, patched: View, unit: Unit, name: str) -> list[Unit]:
    """Return the original's unit of that name, if the name is unique on both sides."""
    candidates = [
        before
        for before in original.by_name.get(name, ())
        if before.is_function == unit.is_function
    ]
    return candidates if len(candidates) == 1 and len(patched.by_name[name]) == 1 else []


def _merged(patched: View, unit: Unit, names: list[str]) -> Refusal:
    """Return the refusal of functions that are one on one side only: GCC merges functions with
    equal code (``-fipa-icf``), and then a call does not show which one it means."""
    found = f"{' and '.join(names)} are one function on one side only"
    return Refusal(FUNCTIONS_MERGED, f"{patched.obj.name}: {unit.name}", found)


def _functions_by_base(original: View, patched: View, pairs: dict[Unit, Unit]) -> None:
    """Pair clones by the function's name (``foo.isra.0``, ``foo.constprop.0``, ``foo``), if
    there is one on each side."""
    taken = set(pairs.values())
    left = _grouped(unit for unit in original.units if unit.is_function and unit not in taken)
    right = _grouped(unit for unit in patched.units if unit.is_function and unit not in pairs)
    for name, units in right.items():
        others = left.get(name, [])
        if len(units) == len(others) == 1:
            pairs[units[0]] = others[0]


def _type_ids_by_place(original: View, patched: View, pairs: dict[Unit, Unit]) -> None:
    """Pair entries of ``.BTF_ids`` by order if their types are the same: their names have the
    number of their line (include/linux/btf_ids.h: __ID())."""
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
    """Return an entry's name without counter and line: ``__BTF_ID__struct__sock``."""
    return re.sub(r"__[0-9]+$", "", unit.name)


def _grouped(units: Iterable[Unit]) -> dict[tuple[str, bool], list[Unit]]:
    groups: dict[tuple[str, bool], list[Unit]] = defaultdict(list)
    for unit in units:
        groups[base(unit.name), is_cold(unit.name)].append(unit)
    return groups


def _variables_by_users(original: View, patched: View, pairs: dict[Unit, Unit]) -> None:
    """Pair a numbered variable with the one that the same functions use.

    In doubt, a variable with state is refused; a constant has no state, and counts as new.

    :raises Refusal: ``ambiguous-local``
    """
    before = _numbered_variables(original)
    after = _numbered_variables(patched)
    if not after:
        return
    users_before = users_by_unit(original, {before: after for after, before in pairs.items()})
    users_after = users_by_unit(patched, {after: after for after in pairs})
    found: dict[Unit, Unit] = {}
    for name, units in after.items():
        candidates, others = (
            _grouped_by_user(before.get(name, []), users_before),
            _grouped_by_user(units, users_after),
        )
        for unit in units:
            users = users_after[unit]
            fitting = list(dict.fromkeys(c for user in users for c in candidates[user]))
            rivals = list(dict.fromkeys(other for user in users for other in others[user]))
            if fitting:
                chosen = _nth_of_equals(patched, name, unit, rivals, fitting)
                if chosen is not None:
                    found[unit] = chosen
        _refuse_doubtful(patched, name, units, before.get(name, []), found)
    counts = Counter(found.values())
    pairs.update({unit: before for unit, before in found.items() if counts[before] == 1})


def _grouped_by_user(
    variables: Iterable[Unit], users: Mapping[Unit, set[Unit]]
) -> dict[Unit, list[Unit]]:
    """Group variables by the functions that use them."""
    groups: dict[Unit, list[Unit]] = defaultdict(list)
    for variable in variables:
        for user in users[variable]:
            groups[user].append(variable)
    return groups


def _refuse_doubtful(
    patched: View,
    name: str,
    units: Sequence[Unit],
    candidates: Sequence[Unit],
    found: Mapping[Unit, Unit],
) -> None:
    """Refuse variables of one name with state if their users do not decide.

    A variable that shares no user with an original one is new, unless an original one is left over:
    it may have moved to another function.

    :raises Refusal: ``ambiguous-local``
    """
    chosen = [found[unit] for unit in units if unit in found and _has_state(patched, unit)]
    new = [unit for unit in units if unit not in found and _has_state(patched, unit)]
    counts = Counter(chosen)
    left = [candidate for candidate in candidates if candidate not in counts]
    twice = any(count > 1 for count in counts.values())
    if twice or (new and left):
        raise Refusal(
            AMBIGUOUS_LOCAL,
            patched.obj.name,
            f"static variables named {name} ({len(candidates)} before, {len(units)} now) "
            "are used by other functions",
        )


def _nth_of_equals(
    patched: View, name: str, unit: Unit, rivals: Sequence[Unit], fitting: Sequence[Unit]
) -> Unit | None:
    """Return the original variable for one of several with one name in one function, as inner
    blocks may have: the compiler numbers them in the same order on both sides.

    :return: None for a constant that has no counterpart.
    :raises Refusal: ``ambiguous-local``
    """
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
    """Return the compiler's numbers in a name; GCC counts in source order, up or down."""
    return tuple(int(part) for part in unit.name.split(".") if re.fullmatch("[0-9]{1,18}", part))


def _numbered_variables(view: View) -> dict[str, list[Unit]]:
    groups: dict[str, list[Unit]] = defaultdict(list)
    for unit in view.units:
        # __UNIQUE_ID_* in .modinfo, .discard.addressable and the like have no state; those sections
        # are compared as a whole.
        is_variable = view.section(unit).name.startswith(DATA) and not unit.is_function
        if is_variable and is_numbered(unit.name) and not view.is_private(unit):
            groups[base(unit.name)].append(unit)
    return groups


def users_by_unit(view: View, known: Mapping[Unit, Unit]) -> Mapping[Unit, set[Unit]]:
    """Map each unit to the paired units that use it, directly or through data that is not paired.

    :param known: paired unit of this object -> the unit to name it by in the result.
    """
    referred: dict[Unit, set[Unit]] = defaultdict(set)
    for unit in view.units:
        if view.section(unit).is_allocated:
            targets = (reference.target for reference in view.references(unit))
            referred[_whole_function(view, unit)].update(
                target.unit for target in targets if isinstance(target, ToUnit)
            )
    users: dict[Unit, set[Unit]] = defaultdict(set)
    for user, name in known.items():
        # Starts at the users, so that a chain of data is walked once for each user, not for each
        # link of the chain.
        seen, todo = {user}, [user]
        while todo:
            for unit in referred.get(todo.pop(), set()) - seen:
                seen.add(unit)
                users[unit].add(name)
                if unit not in known and not unit.is_function:
                    todo.append(unit)
    return users


def _whole_function(view: View, unit: Unit) -> Unit:
    """Return the function from which the compiler split off a ``.cold`` or ``.part``."""
    if not unit.is_function:
        return unit
    owners = (view.by_name.get(name, ()) for name in (parent(unit.name), base(unit.name)))
    return next((owner[0] for owner in owners if len(owner) == 1 and owner[0] != unit), unit)


# --- static functions and variables of one name, of several source files linked into one object


def pair_namesakes(original: View, patched: View, pairs: dict[Unit, Unit]) -> None:
    """Pair static functions and variables of one name by source file, or, without ``STT_FILE``
    symbols, by neighbours.

    :raises Refusal: ``ambiguous-local`` where neither decides: a change could be missed, or be made
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
    pair = _pair_by_file if here.names and there.names else _pair_by_neighbours
    found = pair(left, here, right, there)
    for unit in right:
        if unit not in found:
            raise Refusal(
                AMBIGUOUS_LOCAL,
                patched.obj.name,
                f"nothing shows which {unit.name} is which of those that were there before",
                why="Several static functions or variables have this name, and taking one for "
                "another would replace the wrong code or share the wrong data.",
                remedy="Compare the objects of single source files, or objects that still have "
                "their STT_FILE symbols.",
            )
    pairs.update(found)


def _is_named(view: View, unit: Unit) -> bool:
    section = view.section(unit)
    if unit.is_function:
        return unit.is_local and section.is_code
    is_variable = section.name.startswith(DATA) and not is_numbered(unit.name)
    return unit.is_local and is_variable and not view.is_private(unit)


def _pair_by_file(
    left: Iterable[Unit], here: SourceFiles, right: Iterable[Unit], there: SourceFiles
) -> dict[Unit, Unit]:
    files = pair_files(here.names, there.names)
    before = [(here.file_of(unit), unit.name, unit.is_function) for unit in left]
    after = [(files.get(there.file_of(unit)), unit.name, unit.is_function) for unit in right]
    twice = _repeated(before) | _repeated(after)
    known = dict(zip(before, left, strict=True))
    return {
        unit: known[file, name, kind]
        for unit, (file, name, kind) in zip(right, after, strict=True)
        if file is not None and (file, name, kind) in known and (file, name, kind) not in twice
    }


def _repeated(keys: Iterable[T]) -> set[T]:
    return {key for key, count in Counter(keys).items() if count > 1}


def _pair_by_neighbours(
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
