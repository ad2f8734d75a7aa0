# SPDX-License-Identifier: GPL-2.0-or-later
"""ELF notes of a module's file, which the running kernel shows to everybody as well
(``/sys/module/NAME/notes/SECTION``; kernel/module/sysfs.c: add_notes_attrs()).

A note has an owner, a type and a description (gABI, "Note Section").
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from suture.elf.object import ObjectFile

SECTION = ".note.livepatch"
"""Suture's own notes about a live patch."""

OWNER = b"Suture\0"
NT_STAYS, NT_FIXES, NT_UPDATE = 1, 2, 3

BUILD_ID_SECTION = ".note.gnu.build-id"
NT_GNU_BUILD_ID = 3

_HEADER = "III"  # Elf64_Nhdr: n_namesz, n_descsz, n_type


def with_note(module: ObjectFile, kind: int, description: bytes) -> ObjectFile:
    """Return the module with one more of Suture's notes."""
    from suture.elf.object import SHF_ALLOC, SHT_NOTE, Section

    header = struct.pack(module.machine.prefix + _HEADER, len(OWNER), len(description), kind)
    note = header + _padded(OWNER) + _padded(description)
    index = module.section_named(SECTION)
    if index is None:
        section = Section(SECTION, SHT_NOTE, SHF_ALLOC, note, len(note), 4)
        return replace(module, sections=(*module.sections, section))
    old = module.sections[index]
    changed = replace(old, data=old.data + note, size=old.size + len(note))
    sections = (*module.sections[:index], changed, *module.sections[index + 1 :])
    return replace(module, sections=sections)


def contents(module: ObjectFile, section: str = SECTION) -> bytes:
    """Return the notes' section of a module's file; empty where it has none."""
    index = module.section_named(section)
    return module.sections[index].data if index else b""


def description(notes: bytes, kind: int, prefix: str = "=") -> bytes | None:
    """Return the description of Suture's first note of a type; None where there is none.

    :param notes: the contents of `SECTION`.
    :param prefix: its byte order as `struct` has it; by default this host's.
    """
    found = (text for owner, one, text in _each(notes, prefix) if (owner, one) == (OWNER, kind))
    return next(found, None)


def build_id(notes: bytes, prefix: str = "=") -> str:
    """Return the build ID in the contents of `BUILD_ID_SECTION`, hexadecimal; "" for none: the
    linker's hash of a module's contents."""
    found = (text for _, kind, text in _each(notes, prefix) if kind == NT_GNU_BUILD_ID)
    return next(found, b"").hex()


def build_id_of(module: ObjectFile) -> str:
    """Return the build ID of a module's file, or ""."""
    return build_id(contents(module, BUILD_ID_SECTION), module.machine.prefix)


def _each(notes: bytes, prefix: str) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield owner, type and description of each whole note."""
    header, place = struct.Struct(prefix + _HEADER), 0
    while place + header.size <= len(notes):
        owner_size, size, kind = header.unpack_from(notes, place)
        owner = place + header.size
        start = owner + _round_up(owner_size)
        if start + size > len(notes):
            return
        yield notes[owner : owner + owner_size], kind, notes[start : start + size]
        place = start + _round_up(size)


def _padded(data: bytes) -> bytes:
    return data.ljust(_round_up(len(data)), b"\0")


def _round_up(size: int) -> int:
    return size + 3 & ~3
