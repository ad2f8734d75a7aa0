# SPDX-License-Identifier: GPL-2.0-or-later
"""Static functions that the patch calls by another name: pairs of the old and the new one.

A function that is renamed and fixed is new to the compiler.  Where the kernel holds the old one's
address, the fix would be nowhere: ``proc_version_init()`` (fs/proc/version.c) gave the address of
``version_proc_show()`` to the kernel at boot, and is not run again for the new name.  Old and new
are one function where they stand in the same place of code and data that are the same otherwise;
the core then redirects the old name to the new code.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from suture.objects.locals import is_cold, is_numbered
from suture.objects.once_only import is_once_only
from suture.objects.view import Reference, ToAnonymous, ToLiteral, ToUnit, Unit, View


class _Vote(NamedTuple):
    """A place where the new function stands in for the old one.

    :ivar is_kept: the old one stays there while the live patch is in force.
    """

    before: Unit
    after: Unit
    is_kept: bool


def renamed_functions(
    original: View, patched: View, pairs: Mapping[Unit, Unit]
) -> dict[Unit, Unit]:
    """Pair static functions under another name, if the kernel may go on using the old one.

    If every use is a call in code that is replaced anyway, the new function counts as new: its
    callers call it.

    :param pairs: patched unit -> original unit, of all that have been paired already.
    :return: the further pairs, patched unit -> original unit.
    """
    taken = set(pairs.values())
    gone = frozenset(u for u in original.units if u not in taken and _may_be_renamed(original, u))
    come = frozenset(u for u in patched.units if u not in pairs and _may_be_renamed(patched, u))
    if not gone or not come:
        return {}
    of_old: dict[Unit, set[Unit]] = defaultdict(set)
    of_new: dict[Unit, set[Unit]] = defaultdict(set)
    kept: set[Unit] = set()
    for vote in _votes(original, patched, pairs, gone, come):
        of_old[vote.before].add(vote.after)
        of_new[vote.after].add(vote.before)
        kept.update([vote.after] if vote.is_kept else [])
    found = {}
    for after in come & kept:
        (before, *others) = of_new[after]
        if not others and len(of_old[before]) == 1:
            found[after] = before
    return found


def _may_be_renamed(view: View, unit: Unit) -> bool:
    section = view.section(unit)
    return (
        unit.is_function
        and unit.is_local
        and section.is_code
        and not is_once_only(section)
        and not is_cold(unit.name)
        and not is_numbered(unit.name)
    )


def _votes(
    original: View,
    patched: View,
    pairs: Mapping[Unit, Unit],
    gone: frozenset[Unit],
    come: frozenset[Unit],
) -> Iterator[_Vote]:
    """Yield the places where one of `come` stands for one of `gone`."""
    names = {before: after for after, before in pairs.items()}
    for after, before in pairs.items():
        left, right = list(original.references(before)), list(patched.references(after))
        if not _refer_to(left, gone) or not _refer_to(right, come):
            continue
        keys, others = _keys(left, names, gone), _keys(right, {}, come)
        if after.is_function:
            places = list(_same_calls(keys, others, left))
        else:
            # A table of operations, such as a struct seq_operations.
            same = keys == others and original.data(before) == patched.data(after)
            places = [(position, position) for position in range(len(left)) if same]
        stays = is_once_only(original.section(before))
        for here, there in places:
            old, new = _target(left[here]), _target(right[there])
            if old in gone and new in come:
                yield _Vote(old, new, stays or not left[here].is_branch)


def _refer_to(references: Sequence[Reference], units: frozenset[Unit]) -> bool:
    return any(_target(reference) in units for reference in references)


def _target(reference: Reference) -> Unit | None:
    """Return the unit to whose start a reference leads."""
    target = reference.target
    return target.unit if isinstance(target, ToUnit) and not target.offset else None


_RENAMED = "renamed"


def _keys(
    references: Sequence[Reference], names: Mapping[Unit, Unit], renamed: frozenset[Unit]
) -> list[Hashable]:
    """Return what references mean on either side; functions that may be renamed are equal.

    :param names: unit -> the unit by which it is called here.
    """
    keys: list[Hashable] = []
    for reference in references:
        target = reference.target
        if _target(reference) in renamed:
            keys.append((_RENAMED, reference.is_branch))
            continue
        match target:
            case ToUnit(unit, offset):
                keys.append((names.get(unit, unit), offset))
            case ToLiteral(_, content, offset):
                keys.append((content, offset))
            case ToAnonymous():
                keys.append(ToAnonymous)
            case _:
                keys.append(target)
    return keys


def _same_calls(
    left: Sequence[Hashable], right: Sequence[Hashable], references: Sequence[Reference]
) -> Iterator[tuple[int, int]]:
    """Yield the positions of references that mean the same, with all references of the same call.

    The function may have other changes elsewhere.  ``proc_create("a", 0, NULL, &first)`` and
    ``proc_create("b", 0, NULL, &second)`` are no such pair.
    """
    matcher = SequenceMatcher(None, left, right, autojunk=False)
    for here, there, size in matcher.get_matching_blocks():
        for position in range(here, here + size):
            start, end = _call_around(references, position)
            if here <= start and end <= here + size:
                yield position, there + position - here


def _call_around(references: Sequence[Reference], position: int) -> tuple[int, int]:
    """Return the range of references from behind the last call up to the next one, inclusive."""
    start = end = position
    while start and not references[start - 1].is_call:
        start -= 1
    while end < len(references) and not references[end].is_call:
        end += 1
    return start, min(end + 1, len(references))
