# SPDX-License-Identifier: GPL-2.0-or-later
"""The sources that a live patch module carries, so that it can be built again for another kernel.

They are an archive of the written form (`suture.formats.written`) in a section of the module's file
that takes no memory in the kernel: it has no ``SHF_ALLOC`` (``kernel/module/main.c:
layout_sections()``).  A signature covers it like the rest of the file.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from suture.elf.object import ObjectFile

SECTION = ".livepatch.source"

LARGEST = 1 << 20
"""Bytes of an archive that a module carries; most patches have a few thousand."""


def with_source(module: ObjectFile, archive: bytes) -> ObjectFile:
    """Return the module with its sources; as it is without any, or with too many."""
    from suture.elf.object import SHT_PROGBITS, Section

    if not archive or len(archive) > LARGEST:
        return module
    section = Section(SECTION, SHT_PROGBITS, 0, archive, len(archive), 1)
    return replace(module, sections=(*module.sections, section))


def source_of(module: ObjectFile) -> bytes:
    """Return the archive that a module's file carries; empty where it has none."""
    index = module.section_named(SECTION)
    return module.sections[index].data if index else b""
