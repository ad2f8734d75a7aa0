# SPDX-License-Identifier: GPL-2.0-or-later
"""The host."""

from __future__ import annotations

from suture.errors.refusal import Kind

TOOL_MISSING = Kind(
    "tool-missing",
    "A program that this step runs is not installed.",
    "Run 'suture doctor': it lists what is missing and the command that installs it.",
)
DISK_FULL = Kind(
    "disk-full",
    "There is not enough space to write to. Nothing half-written was kept.",
    "Free some space, or set XDG_CACHE_HOME to a directory on a larger file system, and run the "
    "same command again.",
)
COMMAND_FAILED = Kind(
    "command-failed",
    "A program that Suture ran failed; its message is shown.",
    "Fix what the message names, and run the same command again.",
)
FILE_UNREADABLE = Kind(
    "file-unreadable",
    "The file does not exist or cannot be read.",
    "Check the path and its permissions.",
)
INTERRUPTED = Kind(
    "interrupted",
    "The command was stopped before it ended; nothing half-done was kept.",
    "Run the same command again: finished steps are not repeated.",
)
