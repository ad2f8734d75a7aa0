# SPDX-License-Identifier: GPL-2.0-or-later
"""Positions of symbols with one name, as the livepatch core counts them, and hints for refusals."""

from __future__ import annotations

import difflib

from suture.errors import SYMBOL_AMBIGUOUS, Refusal
from suture.model import VMLINUX
from suture.verify.shipped import Shipped


def sympos(shipped: Shipped, name: str, address: int) -> int:
    """Return ``old_sympos``: 0 for a unique name, else the 1-based position (struct klp_func).

    :raises Refusal: ``symbol-ambiguous`` where it changes: the core counts a module's init symbols
        while the module is being loaded, and not later (kernel/module/kallsyms.c:
        layout_symtab())
    """
    position = find_sympos(shipped, name, address)
    if isinstance(position, Refusal):
        raise position
    return position


def find_sympos(shipped: Shipped, name: str, address: int) -> int | Refusal:
    """Return what `sympos` returns, or the refusal that it raises."""
    places = shipped.addresses(name)
    if len(places) == 1:
        return 0
    if shipped.objname != VMLINUX and any(shipped.is_discarded(place) for place in places):
        where, found = (
            f"{shipped.objname}: {name}",
            "another symbol of that name is freed after init",
        )
        return Refusal(SYMBOL_AMBIGUOUS, where, found)
    return places.index(address) + 1


def candidates(shipped: Shipped, name: str) -> list[str]:
    """Return the symbols of one name in words, each with the symbol before it: that shows an author
    which file it belongs to."""
    texts = []
    for position, address in enumerate(shipped.addresses(name), 1):
        before = shipped.start(address - 1)
        neighbour = next(iter(shipped.names(before)), "") if before is not None else ""
        after = f" (after {neighbour})" if neighbour else ""
        texts.append(f"{shipped.objname}: {name},{position}{after}")
    return texts


def nearest(name: str, shipped: Shipped) -> list[str]:
    """Return the names in an object that are most like a missing one: clones of that function if
    there are any (``lo_rw_aio.isra.0`` for ``lo_rw_aio``)."""
    names = list(dict.fromkeys(shipped.all_names()))
    clones = [other for other in names if other.startswith(f"{name}.")]
    similar = [other for other in names if abs(len(other) - len(name)) < 6]
    return clones[:3] or difflib.get_close_matches(name, similar, 3, 0.75)
