# SPDX-License-Identifier: GPL-2.0-or-later
"""The host that Suture runs on."""

from __future__ import annotations

from suture.errors.refusal import Kind

TOOL_MISSING = Kind(
    "tool-missing",
    "A program that this step runs is not installed.",
    "Run 'suture doctor' for the list of what is missing and the command that installs it.",
)
DISK_FULL = Kind(
    "disk-full",
    "There is no space left to write to. What was half written has been removed.",
    "Free some space, or point XDG_CACHE_HOME at a larger file system, and run the same command again.",
)
COMMAND_FAILED = Kind(
    "command-failed",
    "A program that Suture ran ended with an error; its own message is shown.",
    "Mend what the message names and run the same command again.",
)
FILE_UNREADABLE = Kind(
    "file-unreadable",
    "The file is not there or may not be read.",
    "Check the path and its permissions.",
)
INTERRUPTED = Kind(
    "interrupted",
    "The work was stopped before its end; nothing half done was kept.",
    "Run the same command again: finished steps are not repeated.",
)
