# SPDX-License-Identifier: GPL-2.0-or-later
"""Making the module."""

from __future__ import annotations

from suture.errors.refusal import Kind

NAME_UNUSABLE = Kind(
    "name-unusable",
    "The kernel takes module names of up to 55 letters, digits and underscores.",
    "Give another; for a live patch, with --name.",
)
NOT_A_LIVE_PATCH = Kind(
    "not-a-live-patch",
    "The file is a module, but not one that the livepatch core would take.",
    "Check that it is the right file; 'modinfo FILE' says what the module is.",
)
UNWIND_DATA_DOUBTFUL = Kind(
    "unwind-data-doubtful",
    "objtool could not follow the patched code when it made the data by which the kernel walks the stack.  A live "
    "patch needs that data to be right: by it the kernel sees which code a task still runs.",
    "Change another function instead, such as a caller, or the same one in another way.",
)
TAIL_CALL_UNSEEN = Kind(
    "tail-call-unseen",
    "The kernel looks for replaced functions on the stacks of all tasks before it lets a live patch go. A new function "
    "that is not entered by a call leaves no trace of its caller there. So it is laid behind a replaced function, and "
    "seen with that one; this one cannot be.",
    "Put barrier() after the call, so that the compiler makes a call of it, or let the new function be inlined "
    "(__always_inline; for a system call, KPATCH_SYSCALL_DEFINEx of kpatch-syscall.h does it).",
)
