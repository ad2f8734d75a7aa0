# SPDX-License-Identifier: GPL-2.0-or-later
"""Which unit of the patched object is which of the original.

Names decide where the author wrote them.  Where the compiler numbered them (``foo.12``, ``foo.isra.0``), the functions
that use a variable decide, and what stays in doubt is refused: taking the wrong static variable would share the wrong
state.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from suture.diff.locals import base, is_cold, is_numbered, is_private, parent
from suture.diff.view import ToUnit, Unit, View
from suture.errors import AMBIGUOUS_LOCAL, Refusal


@dataclass(frozen=True, slots=True)
class Correlation:
    """:ivar original: of a patched unit, the original one; a unit that is not there is new."""

    original: Mapping[Unit, Unit]

    def has(self, original: Unit, patched: Unit) -> bool:
        return self.original.get(patched) == original


def correlate(original: View, patched: View) -> Correlation:
    """Pair the units of two objects that were made from two versions of one source file.

    :raises Refusal: ``ambiguous-local``
    """
    pairs: dict[Unit, Unit] = {}
    _by_written_name(original, patched, pairs)
    _functions_by_base(original, patched, pairs)
    _variables_by_users(original, patched, pairs)
    return Correlation(pairs)


def _by_written_name(original: View, patched: View, pairs: dict[Unit, Unit]) -> None:
    for unit in patched.units:
        if is_private(unit.name) or (is_numbered(unit.name) and not unit.is_function):
            continue
        for name in (unit.name, *unit.aliases):
            candidates = [u for u in original.by_name.get(name, ()) if u.is_function == unit.is_function]
            if len(candidates) == 1 and len(patched.by_name[name]) == 1:
                pairs[unit] = candidates[0]
                break


def _functions_by_base(original: View, patched: View, pairs: dict[Unit, Unit]) -> None:
    """``foo.isra.0`` may have become ``foo.constprop.0`` or plain ``foo``: the same function if there is one of each."""
    taken = set(pairs.values())
    left = _grouped(unit for unit in original.units if unit.is_function and unit not in taken)
    right = _grouped(unit for unit in patched.units if unit.is_function and unit not in pairs)
    for name, units in right.items():
        others = left.get(name, [])
        if len(units) == len(others) == 1:
            pairs[units[0]] = others[0]


def _grouped(units: Iterable[Unit]) -> dict[tuple[str, bool], list[Unit]]:
    groups: dict[tuple[str, bool], list[Unit]] = defaultdict(list)
    for unit in units:
        groups[base(unit.name), is_cold(unit.name)].append(unit)
    return groups


def _variables_by_users(original: View, patched: View, pairs: dict[Unit, Unit]) -> None:
    """A numbered variable is the one that the same functions use."""
    before = _numbered_variables(original)
    after = _numbered_variables(patched)
    if not after:
        return
    users_before = _users(original)
    users_after = _users(patched)
    names = {unit: _written(pairs[unit]) for unit in patched.units if unit.is_function and unit in pairs}
    for name, units in after.items():
        candidates = before.get(name, [])
        for unit in units:
            users = {names[user] for user in users_after[unit] if user in names}
            fitting = [c for c in candidates if users & {_written(user) for user in users_before[c]}]
            rivals = [u for u in units if users & {names[v] for v in users_after[u] if v in names}]
            if not fitting:
                continue  # new, or its function is
            pairs[unit] = _choose(patched, name, unit, rivals, fitting)


def _choose(patched: View, name: str, unit: Unit, rivals: Sequence[Unit], fitting: Sequence[Unit]) -> Unit:
    """Several of one name in one function (inner blocks) keep the order in which the compiler numbered them."""
    if len(rivals) != len(fitting):
        raise Refusal(
            AMBIGUOUS_LOCAL,
            patched.obj.name,
            f"{len(fitting)} static variables named {name} have become {len(rivals)}",
        )
    chosen = sorted(fitting, key=_number)[sorted(rivals, key=_number).index(unit)]
    if chosen.size != unit.size:
        raise Refusal(
            AMBIGUOUS_LOCAL, patched.obj.name, f"static variable {name} changes size from {chosen.size} to {unit.size} bytes"
        )
    return chosen


def _number(unit: Unit) -> tuple[int, ...]:
    """GCC numbers declarations in source order, downwards or upwards; both sides do it alike."""
    return tuple(int(part) for part in unit.name.split(".") if part.isdigit())


def _numbered_variables(view: View) -> dict[str, list[Unit]]:
    groups: dict[str, list[Unit]] = defaultdict(list)
    for unit in view.units:
        if not unit.is_function and is_numbered(unit.name) and not is_private(unit.name):
            groups[base(unit.name)].append(unit)
    return groups


def _users(view: View) -> dict[Unit, list[Unit]]:
    """Which functions refer to each unit, themselves or through data that they refer to."""
    users: dict[Unit, list[Unit]] = defaultdict(list)
    for unit in view.units:
        if not view.section(unit).is_allocated:
            continue
        for reference in view.references(unit):
            if isinstance(reference.target, ToUnit):
                users[reference.target.unit].append(unit)
    return users


def _written(unit: Unit) -> str:
    return base(parent(unit.name))
