# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions of the shipped kernel that ftrace can redirect: those in its list of fentry calls.

The list is ``__mcount_loc`` (scripts/recordmcount.c, ``CC_FLAGS_FTRACE``): addresses of 8 bytes, in
the core kernel between two symbols, in a module a section.  ``kernel/trace/ftrace.c:
ftrace_location()`` finds a function's call by its range.
"""

from __future__ import annotations

import struct
from bisect import bisect_left

from suture.elf.object import WORD
from suture.verify.shipped import Shipped, ShippedImage


def fentry_calls(shipped: Shipped) -> tuple[int, ...]:
    """Return the addresses of all fentry calls of an object, ascending."""
    if isinstance(shipped, ShippedImage):
        bounds = [shipped.addresses(name) for name in ("__start_mcount_loc", "__stop_mcount_loc")]
        data = shipped.read(bounds[0][0], bounds[1][0] - bounds[0][0]) if all(bounds) else b""
    else:
        data = b"".join(
            region.data for region in shipped.regions() if region.name == "__mcount_loc"
        )
    data = data or b""
    count = len(data) // WORD
    form = f"{shipped.machine.prefix}{count}Q"
    return tuple(sorted(struct.unpack(form, data[: count * WORD])))


def is_traceable(calls: tuple[int, ...], address: int, within: int) -> bool:
    """Whether a function has an fentry call.

    :param calls: what `fentry_calls` returned.
    :param within: bytes from the function's start (`suture.arch.entry.FunctionEntry`).
    """
    position = bisect_left(calls, address)
    return position < len(calls) and calls[position] < address + within
