# SPDX-License-Identifier: GPL-2.0-or-later
"""The build ID in an ELF note: the linker's hash of a module's contents, which the running kernel
shows as well."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from suture.elf.object import ObjectFile

SECTION = ".note.gnu.build-id"
NT_GNU_BUILD_ID = 3
_HEADER = "III"  # Elf64_Nhdr: n_namesz, n_descsz, n_type


def build_id(note: bytes, prefix: str = "=") -> str:
    """Hexadecimal; "" where `note` is no build ID.

    :param note: the contents of ``.note.gnu.build-id``, one note (gABI, "Note Section").
    :param prefix: its byte order as `struct` has it; by default this host's.
    """
    header = struct.Struct(prefix + _HEADER)
    if len(note) < header.size:
        return ""
    name_size, size, kind = header.unpack_from(note)
    start = header.size + (name_size + 3 & ~3)
    return (
        note[start : start + size].hex()
        if kind == NT_GNU_BUILD_ID and len(note) >= start + size
        else ""
    )


def of_object(obj: ObjectFile) -> str:
    """The build ID of a module file, or ""."""
    index = obj.section_named(SECTION)
    return build_id(obj.sections[index].data, obj.machine.prefix) if index else ""
