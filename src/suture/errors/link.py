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
