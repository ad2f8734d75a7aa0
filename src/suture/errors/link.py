# SPDX-License-Identifier: GPL-2.0-or-later
"""Linking the module."""

from __future__ import annotations

from suture.errors.refusal import Kind

NAME_UNUSABLE = Kind(
    "name-unusable",
    "A kernel module name consists of up to 55 letters, digits and underscores.",
    "Choose another name with --name.",
)
NOT_A_LIVE_PATCH = Kind(
    "not-a-live-patch",
    "The file is a kernel module, but not one that the livepatch core accepts.",
    "Check that this is the right file: 'modinfo FILE' shows what the module is.",
)
RELOCATIONS_UNAPPLIED = Kind(
    "relocations-unapplied",
    "The livepatch core applies the relocations of .klp.rela.OBJECT.* when it patches OBJECT. "
    "OBJECT is not in the module's klp_patch.objs, so the code would run with calls and addresses "
    "that were never filled in.",
    "Add the object to klp_patch.objs, with an empty list of functions if none is replaced; "
    "'suture build' does so.",
)
UNWIND_DATA_DOUBTFUL = Kind(
    "unwind-data-doubtful",
    "objtool could not follow the patched code when it generated the unwind data. The kernel uses "
    "that data to see which functions a task is still running, so it must be right.",
    "Write the change differently, or make it in another function, such as a caller.",
)
TAIL_CALL_UNSEEN = Kind(
    "tail-call-unseen",
    "Before the kernel unloads a live patch, it looks for the replacing functions on the stacks "
    "of all tasks. A new function that is not entered by a call leaves no trace of its caller "
    "there, so Suture places it directly behind a replacing function, and the kernel sees the two "
    "as one. This one cannot be placed there.",
    "Put barrier() after the call, so that the compiler emits a real call, or have the new "
    "function inlined (__always_inline; for a system call, KPATCH_SYSCALL_DEFINEx of "
    "kpatch-syscall.h does this).",
)
