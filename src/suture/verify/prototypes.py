# SPDX-License-Identifier: GPL-2.0-or-later
"""Comparison of the prototypes of an old function and of the new one that replaces it.

Callers pass the old function's arguments to the new one, in the registers that the old types
assign (System V psABI, 3.2.3), and expect the old function's return type.
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
    """Return why `new` cannot replace `old`; None if it can.

    A new function may take fewer arguments: it does not read the other registers.
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
    """Whether two types are passed in the same way and mean the same: numbers of one size, pointers
    to types that fit."""
    before, after = old.plain(before), new.plain(after)
    theirs, ours = old[before], new[after]
    kinds = {theirs.kind, ours.kind}
    if kinds <= NUMBERS or kinds == {FLOAT}:
        return theirs.value == ours.value
    if kinds == {PTR}:
        return _pointees_fit(old, theirs.value, new, ours.value, depth + 1)
    if kinds <= NAMED:
        return theirs.name == ours.name
    return theirs.kind == ours.kind and theirs.kind in (VOID, ARRAY, FUNC_PROTO)


def _pointees_fit(old: Btf, before: int, new: Btf, after: int, depth: int) -> bool:
    kinds = {old[old.plain(before)].kind, new[new.plain(after)].kind}
    if depth > DEPTH or VOID in kinds:
        return True  # void * takes every pointer
    return fits(old, before, new, after, depth)


def _count(prototype: BtfPrototype) -> str:
    number = len(prototype.parameters)
    return f"{number or 'no'} argument{'' if number == 1 else 's'}"
