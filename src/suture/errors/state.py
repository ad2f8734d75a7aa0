# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of the running kernel that new code meets."""

from __future__ import annotations

from suture.errors.refusal import Kind

STATE_RENAMED = Kind(
    "state-renamed",
    "The running kernel keeps its state in the old variable. The new one would begin with its "
    "initial value, and code that is not replaced would go on using the old one.",
    "Keep the old name and the place of the definition in the live patch; rename the variable in "
    "the source alone.",
)
FUNCTION_RENAMED = Kind(
    "function-renamed",
    "The running kernel holds the address of the old function, and nothing tells it of the new "
    "one: what the patch changes in the function would not be in force.",
    "Keep the function's old name in the live patch; rename it in the source alone.",
)
LAYOUT_CHANGED = Kind(
    "layout-changed",
    "Objects that are in memory when the live patch is loaded were made with the old layout. New "
    "code would find other members where it looks, or memory behind the object.",
    "Leave the type as it is in the live patch; attach new state to objects as shadow variables.",
)
ACCEPTED_NOT_FOUND = Kind(
    "accepted-not-found",
    "Each --accept must name something that Suture found in this build; one that names nothing may "
    "be a mistake, or left over from an earlier version of the patch.",
    "Check the name, or drop the option.",
)
