# SPDX-License-Identifier: GPL-2.0-or-later
"""Sections with code and data that are used once: at boot, at module load, or at unload."""

from __future__ import annotations

from suture.elf.object import Section

ONCE_ONLY = (".init.", ".exit.")
"""Prefixes of sections with code and data that are used once, before any live patch is loaded, or
at unload (include/asm-generic/vmlinux.lds.h).

``.ref.text`` and ``.head.text`` stay in memory, and with CONFIG_MEMORY_HOTPLUG so does
``.meminit.text``; the address in the shipped kernel shows whether they were freed nevertheless
(`suture.verify.shipped.Shipped.is_discarded`).
"""


def is_once_only(section: Section) -> bool:
    """Whether a section's code or data is used only at boot, at module load, or at unload."""
    return section.name.startswith(ONCE_ONLY)


def is_at_exit(section: Section) -> bool:
    """Whether a section's code or data is used only at unload."""
    return section.name.startswith(".exit.")
