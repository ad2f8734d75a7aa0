# SPDX-License-Identifier: GPL-2.0-or-later
"""Positions among namesakes, as the livepatch core counts them, and what to say where a name does
not suffice."""

from __future__ import annotations

import difflib

from suture.errors import SYMBOL_AMBIGUOUS, Refusal
from suture.model import VMLINUX
from suture.verify.shipped import Shipped


def sympos(shipped: Shipped, name: str, address: int) -> int:
    """``old_sympos``: 0 where the name is unique in the object, else its 1-based position (struct
    klp_func).

    :raises Refusal: ``symbol-ambiguous`` where it changes: while a module is being loaded its init
        symbols count, later they do not (kernel/module/kallsyms.c: layout_symtab())
    """
    places = shipped.addresses(name)
    if len(places) == 1:
        return 0
    if shipped.objname != VMLINUX and any(shipped.is_discarded(place) for place in places):
        raise Refusal(
            SYMBOL_AMBIGUOUS,
            f"{shipped.objname}: {name}",
            "one of its namesakes is freed after init",
        )
    return places.index(address) + 1


def candidates(shipped: Shipped, name: str) -> list[str]:
    """The symbols of one name, each with what stands before it, by which an author knows its
    file."""
    found = []
    for position, address in enumerate(shipped.addresses(name), 1):
        before = shipped.start(address - 1)
        neighbour = next(iter(shipped.names(before)), "") if before is not None else ""
        found.append(
            f"{shipped.objname}: {name},{position}" + (f" (after {neighbour})" if neighbour else "")
        )
    return found


def nearest(name: str, shipped: Shipped) -> list[str]:
    """The names in an object that are most like one that it has not: versions and parts of it
    first."""
    names = list(dict.fromkeys(shipped.all_names()))
    own = [one for one in names if one.startswith(f"{name}.")]
    return own[:3] or difflib.get_close_matches(
        name, [one for one in names if abs(len(one) - len(name)) < 6], 3, 0.75
    )
