# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line."""

from __future__ import annotations

from suture.errors.refusal import Kind

BUILD_EXTRA_MISSING = Kind(
    "build-extra-missing",
    "Suture is installed here for loading live patches only; building them needs more Python packages.",
    "Install them with: pip install 'suture[build]'",
)
INTERNAL_ERROR = Kind(
    "internal-error",
    "This is a bug in Suture, not a fault of your input.",
    "Please report it with that file and the command that you ran.",
)
COMMAND_TAKEN = Kind(
    "command-taken",
    "Two programs cannot have one name, and Suture does not take another's.",
    "Remove the other one, with its package manager, or choose another --prefix that comes first in PATH.",
)
