# SPDX-License-Identifier: GPL-2.0-or-later
"""Variables that the patch calls by another name: the running kernel's state is in the old ones.

A variable that vanishes and one that appears, of the same size and used by the same functions, are
one variable to the author.  Taken for a new one, it would begin with its initial value.  Example:
``static LIST_HEAD(misc_list)`` in drivers/char/misc.c becomes ``misc_devices``; the new code would
see an empty list, and all misc devices would be gone.

So are a structure and the variables into which it is split, and variables and the structure into
which they are put.  A constant has no state, whatever its name.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from suture.diff.changes import Changes
from suture.diff.correlate import users_by_unit
from suture.elf.object import SHF_WRITE
from suture.errors import STATE_RENAMED, Finding
from suture.objects.locals import DATA, base
from suture.objects.once_only import is_once_only
from suture.objects.view import ToUndefined, ToUnit, Unit, View

_OF_ONE_PLACE = ("___done", "___once_key")
"""Variables that DO_ONCE() makes wherever it stands (include/linux/once.h)."""

_RATELIMIT = "___ratelimit"


class _StateMatch(NamedTuple):
    """Variables that go, those that come in their place, and functions that use both."""

    old: tuple[Unit, ...]
    new: tuple[Unit, ...]
    users: frozenset[str]


def renamed_state(changes: Changes, others: Sequence[Changes] = ()) -> Iterator[Finding]:
    """Find the variables that vanish where others like them appear (``state-renamed``).

    :param others: what the patch changes in other files, which may use global variables of this
        one.
    """
    original, patched = changes.original.view, changes.patched.view
    original_of = changes.correlation.original
    known = set(original_of.values())
    vanished = [unit for unit in _variables(original) if unit not in known]
    appeared = [unit for unit in _variables(patched) if unit not in original_of]
    if not vanished or not appeared:
        return
    names = {old: new for new, old in original_of.items()}
    before = _users(original, names, vanished)
    after = _users(patched, {new: new for new in original_of}, appeared)
    for other in others:
        _add_users(other, before, after)
    for match in _matches(vanished, appeared, before, after):
        yield _finding(match, patched.obj.name)


def _finding(match: _StateMatch, where: str) -> Finding:
    old, new = (
        " and ".join(sorted(base(unit.name) for unit in units)) for units in (match.old, match.new)
    )
    size = sum(unit.size for unit in match.old)
    verbs = "goes" if len(match.old) == 1 else "go", "comes" if len(match.new) == 1 else "come"
    is_one = len(match.old) == len(match.new)
    sized = f"of the same {size} bytes" if is_one else f"{size} bytes together"
    found = f"{old} {verbs[0]} and {new} {verbs[1]}, {sized}, and {min(match.users)}() uses both"
    # A structure that is split has a name to accept it by, which its parts have not.
    named = match.new if len(match.new) == 1 else match.old
    return Finding(STATE_RENAMED, base(named[0].name), where, found)


def _matches(
    vanished: Sequence[Unit],
    appeared: Sequence[Unit],
    before: Mapping[Unit, frozenset[str]],
    after: Mapping[Unit, frozenset[str]],
) -> Iterator[_StateMatch]:
    """Match variables of the same size that share most users, then those that were split or put
    together."""
    pairs = itertools.product(vanished, appeared)
    alike = [(old, new) for old, new in pairs if old.size == new.size and before[old] & after[new]]
    alike.sort(key=lambda pair: -len(before[pair[0]] & after[pair[1]]))
    taken: set[tuple[bool, Unit]] = set()
    for old, new in alike:
        if (False, old) not in taken and (True, new) not in taken:
            taken |= {(False, old), (True, new)}
            yield _StateMatch((old,), (new,), before[old] & after[new])
    left = [unit for unit in vanished if (False, unit) not in taken]
    right = [unit for unit in appeared if (True, unit) not in taken]
    for old in left:
        parts = [new for new in right if before[old] & after[new]]
        if _is_split(old, parts):
            yield _StateMatch((old,), tuple(parts), before[old] & after[parts[0]])
    for new in right:
        parts = [old for old in left if before[old] & after[new]]
        if _is_split(new, parts):
            yield _StateMatch(tuple(parts), (new,), before[parts[0]] & after[new])


def _is_split(whole: Unit, parts: Sequence[Unit]) -> bool:
    """Whether parts together have the size of a structure, but for padding in it."""
    size = sum(part.size for part in parts)
    return len(parts) > 1 and whole.size < 2 * size and size <= whole.size


def _variables(view: View) -> Iterator[Unit]:
    """Yield the variables with state of their own."""
    for unit in view.units:
        section = view.section(unit)
        if (
            not unit.is_function
            and unit.size
            and section.flags & SHF_WRITE
            and section.name.startswith(DATA)
            and not is_once_only(section)
            and not view.is_private(unit)
            and not base(unit.name).startswith(_OF_ONE_PLACE)
            and not _limits_messages(view, unit)
        ):
            yield unit


def _limits_messages(view: View, variable: Unit) -> bool:
    """Whether code does nothing with a variable but limit the rate of messages
    (include/linux/ratelimit.h: DEFINE_RATELIMIT_STATE())."""
    uses = limits = 0
    for unit in view.units if variable.name.endswith(("rs", "ratelimit", "limit")) else ():
        references = list(view.references(unit)) if view.section(unit).is_code else []
        for place, reference in enumerate(references):
            target = reference.target
            if isinstance(target, ToUnit) and target.unit == variable:
                uses += 1
                calls = (later.target for later in references[place + 1 :] if later.is_call)
                called = next(calls, None)
                limits += isinstance(called, ToUndefined) and called.name == _RATELIMIT
    return uses == limits > 0


def _users(
    view: View, known: Mapping[Unit, Unit], variables: Sequence[Unit]
) -> dict[Unit, frozenset[str]]:
    """Map variables to the names of the paired units that use them."""
    users = users_by_unit(view, known)
    return {one: frozenset(unit.name for unit in users.get(one, ())) for one in variables}


def _add_users(
    other: Changes, before: dict[Unit, frozenset[str]], after: dict[Unit, frozenset[str]]
) -> None:
    """Add the functions of another file that use global variables."""
    for new, old in other.correlation.original.items():
        if new.is_function:
            for view, unit, users in (
                (other.original.view, old, before),
                (other.patched.view, new, after),
            ):
                names = _undefined(view, unit)
                for variable in users:
                    if not variable.is_local and not names.isdisjoint(variable.names):
                        users[variable] |= {new.name}


def _undefined(view: View, unit: Unit) -> frozenset[str]:
    targets = (reference.target for reference in view.references(unit))
    return frozenset(target.name for target in targets if isinstance(target, ToUndefined))
