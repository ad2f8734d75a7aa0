# SPDX-License-Identifier: GPL-2.0-or-later
"""Marks of a live patch that stays in memory, in its module's file and in the running kernel.

A live patch that hands out addresses of its own (`suture.diff.escapes`) takes a reference to its
module when it has come into force, and the module cannot be unloaded until the reboot.  Its
``.modinfo`` has an entry ``livepatch_stays`` for each reason, and a note says the same to everyone
who looks at the running kernel: ``/sys/module/NAME/notes/.note.livepatch``
(kernel/module/sysfs.c: add_notes_attrs()).

The note also holds the name that the live patch was built with.  A module whose name is taken can
be loaded under another one, and is then still the same live patch.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from suture.elf.object import ObjectFile

SECTION = ".note.livepatch"
OWNER = b"Suture\0"
NT_STAYS = 1

NAME_SIZE = 56
"""Bytes of a module's name with its end (include/linux/moduleparam.h: MAX_PARAM_PREFIX_LEN, 64
bytes less a long)."""

_HEADER = "III"  # Elf64_Nhdr: n_namesz, n_descsz, n_type


@dataclass(frozen=True, slots=True)
class Staying:
    """What a live patch says of itself that stays in memory.

    :ivar name: the name that it was built with.
    :ivar reasons: the addresses that it hands out, each as a sentence without its end.
    """

    name: str
    reasons: tuple[str, ...]


def with_note(module: ObjectFile, staying: Staying) -> ObjectFile:
    """Return the module with a note that says that it stays."""
    from suture.elf.object import SHF_ALLOC, SHT_NOTE, Section

    texts = (staying.name, *staying.reasons)
    description = b"".join(text.encode() + b"\0" for text in texts)
    header = struct.pack(module.machine.prefix + _HEADER, len(OWNER), len(description), NT_STAYS)
    data = header + _padded(OWNER) + _padded(description)
    note = Section(SECTION, SHT_NOTE, SHF_ALLOC, data, len(data), 4)
    return replace(module, sections=(*module.sections, note))


def of_module(module: ObjectFile) -> Staying | None:
    """Read the note of a module's file; None where it has none."""
    index = module.section_named(SECTION)
    return parse(module.sections[index].data, module.machine.prefix) if index else None


def parse(note: bytes, prefix: str = "=") -> Staying | None:
    """Read the contents of the note's section; None for anything else.

    :param prefix: its byte order as `struct` has it; by default this host's.
    """
    header = struct.Struct(prefix + _HEADER)
    if len(note) < header.size:
        return None
    owner, size, kind = header.unpack_from(note)
    start = header.size + (owner + 3 & ~3)
    texts = note[start : start + size].decode("utf-8", "replace").split("\0")
    is_ours = kind == NT_STAYS and note[header.size :].startswith(OWNER)
    if not is_ours or len(note) < start + size or len(texts) < 2:
        return None
    return Staying(texts[0], tuple(texts[1:-1]))


def numbered(name: str, number: int) -> str:
    """Return a module's name with a number, shortened to fit into the kernel."""
    suffix = f"_{number}"
    return name[: NAME_SIZE - 1 - len(suffix)] + suffix


def first_of(reasons: Sequence[str], shown: int = 3) -> str:
    """Return the reasons as one text, shortened if there are many."""
    text = "; ".join(reasons[:shown])
    return f"{text}; and {len(reasons) - shown} more" if len(reasons) > shown else text


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
