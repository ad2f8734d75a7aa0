# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be shown of a function that an author's module replaces, with no unpatched source to
compare.

It is in the object, once or at the position that the author gave; it is code that stays; it can be
redirected; and the new function has its type.  That it is the function the author took it for, and
that nothing has a copy of it inlined, is not shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
"""Gives the place in the source that mentions words."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A replaced function, found in the target.

    :ivar sympos: as the core wants it.
    :ivar prototype: whether the types of old and new function were compared; where not, the target
        does not know them.
    """

    objname: str
    function: str
    sympos: int
    address: int
    new: str
    prototype: bool


class Replaceable:
    """What the functions of one target are checked against.

    :param shipped: gives an object by name.
    :param types_of: gives its types.
    """

    def __init__(
        self, shipped: Callable[[str], Shipped], types_of: Callable[[str], Btf | None]
    ) -> None:
        self.shipped = shipped
        self._types_of = types_of
        self._calls: dict[str, tuple[int, ...]] = {}

    def check(self, objname: str, name: str, position: int, where: Where) -> tuple[int, int]:
        """:param position: the author's, 0 for none.
        :return: the address, and the position as the core wants it.
        :raises Refusal: ``function-not-in-kernel``, ``symbol-ambiguous``, ``symbol-not-found``,
            ``init-function-changed``, ``function-not-traceable``
        """
        place = where(name)
        shipped = self.shipped(objname)
        addresses = shipped.addresses(name)
        if not addresses:
            near = [f"there is {one}" for one in nearest(name, shipped)]
            raise Refusal(
                FUNCTION_NOT_IN_KERNEL, place, f"{objname} has no function {name}", evidence=near
            )
        if position > len(addresses):
            found = f"position {position} of {name} in {objname}, which has {len(addresses)}"
            raise Refusal(SYMBOL_NOT_FOUND, place, found)
        if not position and len(addresses) > 1:
            found = f"{len(addresses)} functions named {name} are in {objname}"
            remedy = "Give the position (old_sympos, KGR_PATCH_OBJPOS), counted from 1 in the order shown."
            raise Refusal(
                SYMBOL_AMBIGUOUS, place, found, remedy=remedy, evidence=candidates(shipped, name)
            )
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

    def compare(
        self, objname: str, name: str, new: str, new_types: Btf | None, where: Where
    ) -> bool:
        """Whether the types were compared; they fit then.

        :raises Refusal: ``prototype-differs``
        """
        types = self._types_of(objname)
        if types is None or new_types is None:
            return False
        before, after = types.functions(name), new_types.functions(new)
        if not before or not after:
            return False
        differences = [
            difference((types, old), (new_types, one)) for old in before for one in after
        ]
        if all(found is not None for found in differences):
            raise Refusal(
                PROTOTYPE_DIFFERS, where(new), f"{new}(): {differences[0]}, {name}() in {objname}"
            )
        return True
