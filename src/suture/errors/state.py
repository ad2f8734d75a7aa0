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
STATE_NOT_SET_UP = Kind(
    "state-not-set-up",
    "The code that sets it up runs at boot, or when its module is loaded, and a live patch does "
    "not run it again. The new code would find what is there without it: zeros, NULL, no entries.",
    "Set it up in a pre-patch callback (KPATCH_PRE_PATCH_CALLBACK()), or where the new code first "
    "uses it.",
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
ENUMERATOR_REMOVED = Kind(
    "enumerator-removed",
    "Objects that are in memory when the live patch is loaded may hold the value of the constant, "
    "and old code may pass it for a while. The new code does not expect it.",
    "Keep the constant in the live patch, with the code that handles it, or check that the new "
    "code does the right thing for a value that it does not know.",
)
LOCK_UNPAIRED = Kind(
    "lock-unpaired",
    "While tasks switch to the new code one by one, old and new code run side by side: a lock that "
    "old code took may be released by new code that never took it, or the other way round.",
    "Check that every order of old and new functions leaves the lock balanced.",
)
SET_UP_EARLIER = Kind(
    "set-up-earlier",
    "Objects that exist when the live patch is loaded were set up by the old code, and hold what "
    "it put there.",
    "Check that the new code is right for such objects too, or set them up in a callback.",
)
COUNTED_IN_TWO_PLACES = Kind(
    "counted-in-two-places",
    "What was opened before the live patch was loaded was not counted by the old code, and is "
    "counted down by the new.",
    "Check that the count cannot fall below zero, or mark counted objects with a shadow variable.",
)
IDLE_FUNCTION_REPLACED = Kind(
    "idle-function-replaced",
    "The core switches the tasks of idle processors without a check of their stacks. After "
    "unloading, such a task would go on in memory that is free, and the kernel would panic.",
    "Make the change in a function that returns before the processor waits, or leave this part "
    "of the patch for the next boot.",
)
THREAD_SLEEPS_INSIDE = Kind(
    "thread-sleeps-inside",
    "A task switches to the new code only when no replaced function is on its stack. Until the "
    "thread returns from this one, neither the transition nor its reversal ends.",
    "Make the change in a function in which no thread sleeps, or wake the thread while the "
    "transition waits for it.",
)
ACCEPTED_NOT_FOUND = Kind(
    "accepted-not-found",
    "Each --accept must name something that Suture found in this build; one that names nothing may "
    "be a mistake, or left over from an earlier version of the patch.",
    "Check the name, or drop the option.",
)
