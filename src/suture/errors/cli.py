# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line."""

from __future__ import annotations

from suture.errors.refusal import Kind

BUILD_EXTRA_MISSING = Kind(
    "build-extra-missing",
    "This installation can load live patches; building them needs more Python packages.",
    "Install them in Suture's environment, from its source tree: pip install '.[build]'",
)
USAGE_WRONG = Kind(
    "usage-wrong",
    "The command line is not one that this command takes. The exit status is 2.",
    "See 'suture --help', and 'suture COMMAND --help'.",
)
INTERNAL_ERROR = Kind(
    "internal-error",
    "This is a bug in Suture, not a fault in your input.",
    "Please report it, with the file of details and the command that you ran.",
)
COMMAND_TAKEN = Kind(
    "command-taken",
    "Another program already has this name, and Suture does not overwrite it.",
    "Remove that program with its package manager, or choose another --prefix that comes first in "
    "PATH.",
)
DEMO_TEXT_MISSING = Kind(
    "demo-text-missing",
    "The demonstration changes one text that the kernel prints, and this kernel's source does not "
    "have it exactly once.",
    "Choose another kernel that 'suture kernel list' shows: suture demo --kernel RELEASE.",
)
