# SPDX-License-Identifier: GPL-2.0-or-later
"""The build as a whole."""

from __future__ import annotations

from suture.errors.refusal import Kind

TYPES_MALFORMED = Kind(
    "types-malformed",
    "The sizes of the kernel's own structures are read from the BTF in its image, and that cannot be read.",
    "Fetch the kernel again; if it is a tree of your own, build it with CONFIG_DEBUG_INFO_BTF=y.",
)
NO_LIVEPATCH = Kind(
    "no-livepatch",
    "This kernel was built without the livepatch core, so it cannot load a live patch.",
    "Use a kernel whose configuration has CONFIG_LIVEPATCH=y; Debian's amd64 kernels have.",
)
DATA_NEEDS_REPLACE = Kind(
    "data-needs-replace",
    "Of several live patches that change data and are in force together, any may be taken out first, and what it puts "
    "back could be another's.",
    "Build one cumulative live patch of all fixes, without --no-replace.",
)
