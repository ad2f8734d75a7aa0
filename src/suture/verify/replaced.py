# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of a function that an author's module replaces, without unpatched source to compare.

The function has to be in the object, once or at the position that the author gave; its memory has
to stay after init; it has to be traceable; and the new function has to have its type.  Nothing
shows that it is the function that the author had in mind, or that no caller has a copy inlined.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

from suture.errors import (
    FUNCTION_NOT_IN_KERNEL,
    FUNCTION_NOT_TRACEABLE,
    INIT_FUNCTION_CHANGED,
    PROTOTYPE_DIFFERS,
    SYMBOL_AMBIGUOUS,
    SYMBOL_NOT_FOUND,
    Refusal,
)
from suture.kernel.btf import Btf
from suture.verify.prototypes import difference
from suture.verify.shipped import Shipped
from suture.verify.sympos import candidates, nearest, sympos
from suture.verify.traceable import fentry_calls, is_traceable

Where = Callable[..., str]
"""Returns the place in the source that mentions a name."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A replaced function, found in the target.

    :ivar sympos: as in ``struct klp_func``.
    :ivar new: the name of the new function.
    :ivar prototype: whether the prototypes were compared; they are not if a type is unknown.
    """

    objname: str
    function: str
    sympos: int
    address: int
    new: str
    prototype: bool


class Replaceable:
    """Checks replaced functions against one target.

    :param shipped: returns an object by name.
    :param types_of: returns the types of an object.
    """

    def __init__(
        self, shipped: Callable[[str], Shipped], types_of: Callable[[str], Btf | None]
    ) -> None:
        self.shipped = shipped
        self._types_of = types_of
        self._calls: dict[str, tuple[int, ...]] = {}

    def locate(self, objname: str, name: str, position: int, where: Where) -> tuple[int, int]:
        """Find a function that the core can replace.

        Example: a module replaces ``type_show``, of which a 6.1 kernel has 17; the author has to
        give the position.

        :param position: the author's, 0 for none.
        :return: the address, and the position as in ``struct klp_func``.
        :raises Refusal: ``function-not-in-kernel``, ``symbol-ambiguous``, ``symbol-not-found``,
            ``init-function-changed``, ``function-not-traceable``
        """
        place = where(name)
        shipped = self.shipped(objname)
        addresses = shipped.addresses(name)
        if not addresses:
            near = [f"there is {similar}" for similar in nearest(name, shipped)]
            raise Refusal(
                FUNCTION_NOT_IN_KERNEL, place, f"{objname} has no function {name}", evidence=near
            )
        if position > len(addresses):
            found = f"position {position} of {name} in {objname}, which has {len(addresses)}"
            raise Refusal(SYMBOL_NOT_FOUND, place, found)
        if not position and len(addresses) > 1:
            found = f"{len(addresses)} functions named {name} are in {objname}"
            remedy = (
                "Give the position (old_sympos, KGR_PATCH_OBJPOS), "
                "counted from 1 in the order shown."
            )
            evidence = candidates(shipped, name)
            raise Refusal(SYMBOL_AMBIGUOUS, place, found, remedy=remedy, evidence=evidence)
        address = addresses[max(position, 1) - 1]
        if shipped.is_discarded(address):
            found = f"{name} is in the part of {objname} that is freed after init"
            raise Refusal(INIT_FUNCTION_CHANGED, place, found)
        if objname not in self._calls:
            self._calls[objname] = fentry_calls(shipped)
        if not is_traceable(self._calls[objname], address, shipped.arch.entry.within):
            raise Refusal(FUNCTION_NOT_TRACEABLE, place, f"{name} in {objname} has no fentry call")
        sympos(shipped, name, address)
        return address, position if len(addresses) > 1 else 0

    def check_prototype(
        self, objname: str, name: str, new: str, new_types: Btf | None, where: Where
    ) -> bool:
        """Compare the prototypes of an old and a new function.

        :return: whether both are known and fit.

        :raises Refusal: ``prototype-differs``
        """
        types = self._types_of(objname)
        if types is None or new_types is None:
            return False
        before, after = types.functions(name), new_types.functions(new)
        if not before or not after:
            return False
        pairs = product(before, after)  # of several functions with one name, any pair will do
        differences = [difference((types, old), (new_types, ours)) for old, ours in pairs]
        if None not in differences:
            found = f"{new}(): {differences[0]}, {name}() in {objname}"
            raise Refusal(PROTOTYPE_DIFFERS, where(new), found)
        return True
