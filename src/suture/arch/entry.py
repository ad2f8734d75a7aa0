# SPDX-License-Identifier: GPL-2.0-or-later
"""How functions begin and end, and what fills the room between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FunctionEntry:
    """The entry of a function as the tracer, and so the livepatch core, needs it.

    :ivar hook: the function that one which can be redirected calls first
        (``Documentation/trace/ftrace-design.rst``).
    :ivar within: bytes from a function's start in which that call is.
    :ivar calls: what linked code that stands at an address calls first; None where it calls
        nothing.
    :ivar padding: fills the room that the compiler leaves before a function for the kernel.
    :ivar filler: fills gaps in code; running into it is an error.
    :ivar return_thunk: the function that is jumped to in place of a return, or "".
    """

    hook: str
    within: int
    calls: Callable[[bytes, int], int | None]
    padding: bytes
    filler: bytes
    return_thunk: str = ""
