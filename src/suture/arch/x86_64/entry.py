# SPDX-License-Identifier: GPL-2.0-or-later
"""The entry of functions: ``-mfentry``, ``endbr64``, return thunks."""

from __future__ import annotations

from suture.arch.entry import FunctionEntry

ENDBR64 = b"\xf3\x0f\x1e\xfa"
CALL = b"\xe8"
CALL_SIZE = 5
NOP, INT3 = b"\x90", b"\xcc"


def _calls(code: bytes, address: int) -> int | None:
    """Return the target of a function's first call, after an ``endbr64``, or None."""
    at = len(ENDBR64) if code.startswith(ENDBR64) else 0
    if code[at : at + 1] != CALL:
        return None
    distance = int.from_bytes(code[at + 1 : at + CALL_SIZE], "little", signed=True)
    return address + at + CALL_SIZE + distance


ENTRY = FunctionEntry(
    hook="__fentry__",
    within=16,  # after an endbr64 of four bytes, if there is one
    calls=_calls,
    padding=NOP,
    filler=INT3,
    # The kernel jumps to it in place of a return (arch/x86/include/asm/linkage.h).
    return_thunk="__x86_return_thunk",
)
