# SPDX-License-Identifier: GPL-2.0-or-later
"""Constants that the kernel writes into its own code at boot, and never into a module's.

Since 6.11, ``__d_lookup()`` (fs/dcache.c) contains ``movabs $0x0123456789abcdef,%rcx`` in place of
the address of ``dentry_hashtable``, and section ``runtime_ptr_dentry_hashtable`` has the place.  A
copy of that code in a live patch would use the placeholder.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass

from suture.arch import Architecture
from suture.objects.view import ToAnonymous, ToUnit, View


@dataclass(frozen=True, slots=True, order=True)
class BootConstant:
    """One such place.

    :ivar place: the offset of the constant in its section of code.
    :ivar kind: ``ptr``, ``mask`` or ``shift``.
    :ivar variable: holds the value in the running kernel.
    """

    place: int
    kind: str
    variable: str


class BootConstantPlaces:
    """All such places of one object, found by the code that they are in."""

    def __init__(self, view: View) -> None:
        self._by_code: dict[int, list[BootConstant]] = defaultdict(list)
        for index, section in enumerate(view.obj.sections):
            found = kind_and_variable(section.name, view.obj.arch)
            if found is None:
                continue
            for reference in view.references_in(index, 0, section.size):
                match reference.target:
                    case ToUnit(unit, offset):
                        code, place = unit.section, unit.start + offset
                    case ToAnonymous(code, place):
                        pass
                    case _:
                        continue
                self._by_code[code].append(BootConstant(place, *found))
        for places in self._by_code.values():
            places.sort()

    def within(self, code: int, start: int, end: int) -> list[BootConstant]:
        """Return the constants in ``[start, end)`` of code section `code`, by place."""
        places = self._by_code.get(code, [])
        first = bisect_left(places, start, key=lambda one: one.place)
        return places[first : bisect_left(places, end, lo=first, key=lambda one: one.place)]


def kind_and_variable(section: str, arch: Architecture) -> tuple[str, str] | None:
    """Return ``("ptr", "dentry_hashtable")`` for ``runtime_ptr_dentry_hashtable``; None for other
    sections."""
    for prefix, kind in arch.sections.boot_constants.kinds.items():
        if section.startswith(prefix):
            return kind, section.removeprefix(prefix)
    return None
