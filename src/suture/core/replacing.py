# SPDX-License-Identifier: GPL-2.0-or-later
"""What a live patch would do to those before it.

One that replaces all earlier ones (``klp_patch.replace``) takes every function of theirs back to
the kernel's own code, unless it replaces that function too: a fix of yesterday goes with the fix of
today.  So it has to be cumulative.

One that does not replace them is put on top: of a function that several live patches have, the
newest one's code runs (``kernel/livepatch/patch.c: klp_ftrace_handler()``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import chain

from suture.core.patches import LoadedPatch
from suture.errors import EARLIER_FIX_LOST, Refusal
from suture.model import LivePatch

FUNCTIONS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class EarlierFunction:
    """A function that an earlier live patch replaces.

    :ivar patch: that live patch's name.
    """

    patch: str
    objname: str
    function: str

    def __str__(self) -> str:
        return f"{self.objname}:{self.function}() of {self.patch}"


def replaced_by(patch: LivePatch, before: Iterable[LoadedPatch]) -> tuple[LoadedPatch, ...]:
    """Return those in force that a live patch would take the place of."""
    return tuple(earlier for earlier in before if patch.replace and earlier.enabled)


def lost_functions(patch: LivePatch, before: Iterable[LoadedPatch]) -> tuple[EarlierFunction, ...]:
    """Return the functions that would go back to the kernel's own code."""
    new = _functions_of(patch)
    lost = (_of_earlier(earlier, new, shared=False) for earlier in replaced_by(patch, before))
    return tuple(chain.from_iterable(lost))


def lost_from_model(patch: LivePatch, earlier: LivePatch) -> tuple[EarlierFunction, ...]:
    """As `lost_functions`, of one that is not loaded."""
    if not patch.replace:
        return ()
    lost = _functions_of(earlier) - _functions_of(patch)
    return tuple(EarlierFunction(earlier.name, *place[:2]) for place in sorted(lost))


def shared_functions(
    patch: LivePatch, before: Iterable[LoadedPatch]
) -> tuple[EarlierFunction, ...]:
    """Return the functions of earlier live patches for which the new code would run instead."""
    new = _functions_of(patch)
    in_force = (earlier for earlier in before if earlier.enabled)
    shared = (_of_earlier(earlier, new, shared=True) for earlier in in_force)
    return tuple(chain.from_iterable(shared))


def refuse_lost(lost: Collection[EarlierFunction], where: str) -> None:
    """Refuse a live patch with which functions would lose an earlier fix.

    :raises Refusal: ``earlier-fix-lost``
    """
    if not lost:
        return
    names = ", ".join(dict.fromkeys(one.patch for one in lost))
    number = f"{len(lost)} function{'' if len(lost) == 1 else 's'}"
    shown = [str(one) for one in list(lost)[:FUNCTIONS_SHOWN]]
    more = [f"and {len(lost) - FUNCTIONS_SHOWN} more"] if len(lost) > FUNCTIONS_SHOWN else []
    raise Refusal(
        EARLIER_FIX_LOST,
        where,
        f"it would replace {names}, and {number} would go back to the kernel's own code",
        evidence=[*shown, *more],
    )


def _functions_of(patch: LivePatch) -> set[tuple[str, str, int]]:
    """Return the functions as sysfs names them: sympos 1 where the live patch has 0."""
    return {
        (objname, function.old_name, max(function.sympos, 1))
        for objname, function in patch.each_function()
    }


def _of_earlier(
    earlier: LoadedPatch, new: Collection[tuple[str, str, int]], *, shared: bool
) -> list[EarlierFunction]:
    found: list[EarlierFunction] = []
    for item in earlier.objects:
        found += (
            EarlierFunction(earlier.name, item.name, function.name)
            for function in item.functions
            if ((item.name, function.name, max(function.sympos, 1)) in new) is shared
        )
    return found
