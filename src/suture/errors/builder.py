# SPDX-License-Identifier: GPL-2.0-or-later
"""The build."""

from __future__ import annotations

from suture.errors.refusal import Kind

TYPES_MALFORMED = Kind(
    "types-malformed",
    "Suture reads the sizes of the kernel's structures from the BTF in its image, and cannot read "
    "this BTF.",
    "Fetch the kernel again; if it is a tree of your own, build it with CONFIG_DEBUG_INFO_BTF=y.",
)
NO_LIVEPATCH = Kind(
    "no-livepatch",
    "This kernel was built without the livepatch core, so it cannot load a live patch.",
    "Use a kernel built with CONFIG_LIVEPATCH=y, such as Debian's amd64 kernels.",
)
DATA_NEEDS_REPLACE = Kind(
    "data-needs-replace",
    "Stacked live patches can be unloaded in any order, and one that restores its data could "
    "overwrite the data of another.",
    "Build one cumulative live patch of all fixes, without --no-replace.",
)
