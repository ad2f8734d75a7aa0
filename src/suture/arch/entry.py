# SPDX-License-Identifier: GPL-2.0-or-later
"""The first and last bytes of functions, and the padding between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FunctionEntry:
    """The entry of a function as the tracer, and so the livepatch core, needs it.

    :ivar hook: the function that every function calls first if ftrace can redirect it
        (``Documentation/trace/ftrace-design.rst``).
    :ivar within: the call is in so many bytes from a function's start.
    :ivar calls: linked code, and its address -> the target of its first call, or None.
    :ivar padding: fills the room that the compiler leaves before a function for the kernel.
    :ivar filler: fills gaps in code; to execute it is an error.
    :ivar return_thunk: the function to which code jumps in place of a return, or "".
    """

    hook: str
    within: int
    calls: Callable[[bytes, int], int | None]
    padding: bytes
    filler: bytes
    return_thunk: str = ""
