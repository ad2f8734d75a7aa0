# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a new function can stand in for an old one, as far as their types tell.

A function that another replaces is called with the old one's arguments, in the registers that the
old one's types put them in (System V psABI, 3.2.3), and its callers take from it what the old one
returned.
"""

from __future__ import annotations

from suture.kernel.btf import (
    ARRAY,
    ENUM,
    ENUM64,
    FLOAT,
    FUNC_PROTO,
    FWD,
    INT,
    PTR,
    STRUCT,
    UNION,
    VOID,
    Btf,
    BtfPrototype,
)

NUMBERS = {INT, ENUM, ENUM64}
NAMED = {STRUCT, UNION, FWD}
DEPTH = 3
"""How many pointers deep two types are compared."""


def difference(old: tuple[Btf, BtfPrototype], new: tuple[Btf, BtfPrototype]) -> str | None:
    """What keeps `new` from standing in for `old`; None where nothing does.

    A new function may take fewer arguments: it leaves registers unread that the caller has set.
    """
    (old_types, before), (new_types, after) = old, new
    if len(after.parameters) > len(before.parameters):
        return f"it takes {_count(after)} where the function it replaces takes {_count(before)}"
    if not fits(old_types, before.returns, new_types, after.returns):
        types = new_types.spelled(after.returns), old_types.spelled(before.returns)
        return f"it returns {types[0]} where the function it replaces returns {types[1]}"
    for number, (theirs, ours) in enumerate(
        zip(before.parameters, after.parameters, strict=False), 1
    ):
        if not fits(old_types, theirs, new_types, ours):
            types = new_types.spelled(ours), old_types.spelled(theirs)
            return (
                f"its argument {number} is {types[0]}, that of the function it replaces {types[1]}"
            )
    return None


def fits(old: Btf, before: int, new: Btf, after: int, depth: int = 0) -> bool:
    """Whether two types are passed alike and mean alike: numbers of one size, pointers to what
    fits."""
    before, after = old.plain(before), new.plain(after)
    one, other = old[before], new[after]
    if one.kind in NUMBERS and other.kind in NUMBERS:
        return one.value == other.value
    if one.kind == PTR and other.kind == PTR:
        return _pointees_fit(old, one.value, new, other.value, depth + 1)
    if one.kind in NAMED and other.kind in NAMED:
        return one.name == other.name
    if one.kind == FLOAT and other.kind == FLOAT:
        return one.value == other.value
    return one.kind == other.kind and one.kind in (VOID, ARRAY, FUNC_PROTO)


def _pointees_fit(old: Btf, before: int, new: Btf, after: int, depth: int) -> bool:
    kinds = {old[old.plain(before)].kind, new[new.plain(after)].kind}
    if depth > DEPTH or VOID in kinds:
        return True  # void * takes every pointer
    return fits(old, before, new, after, depth)


def _count(prototype: BtfPrototype) -> str:
    number = len(prototype.parameters)
    return f"{number or 'no'} argument{'' if number == 1 else 's'}"
