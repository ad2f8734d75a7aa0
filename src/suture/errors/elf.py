# SPDX-License-Identifier: GPL-2.0-or-later
"""Object files."""

from __future__ import annotations

from suture.errors.refusal import Kind

OBJECT_MALFORMED = Kind(
    "object-malformed",
    "The file is damaged, truncated or not an ELF object.",
    "Get or build the file again; 'readelf -a FILE' shows what is left of it.",
)
OBJECT_UNSUPPORTED = Kind(
    "object-unsupported",
    "The file is well-formed, but Suture does not make live patches from this kind of object.",
    "Give a relocatable object (.o) or module (.ko) of an architecture that Suture knows.",
)
