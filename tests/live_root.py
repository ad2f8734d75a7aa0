# SPDX-License-Identifier: GPL-2.0-or-later
"""A directory like ``/``, with the ``/proc/kcore`` of a kernel that runs elsewhere or nowhere."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from suture.kernel.elf64 import HEADER, SEGMENT

PAGE = 4096


def kcore(note: bytes, memory: Sequence[tuple[int, bytes]]) -> bytes:
    """A core file (elf(5)) with a note and pieces of memory."""
    count = len(memory) + 1
    table = struct.calcsize(f"<{HEADER}")
    place = table + count * struct.calcsize(f"<{SEGMENT}")
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = struct.pack(f"<{HEADER}", ident, 4, 62, 1, 0, table, 0, 0, table, 56, count, 0, 0, 0)
    segments = [struct.pack(f"<{SEGMENT}", 4, 0, place, 0, 0, len(note), 0, 0)]
    place += len(note)
    for address, data in memory:
        segments.append(
            struct.pack(f"<{SEGMENT}", 1, 7, place, address, 0, len(data), len(data), PAGE)
        )
        place += len(data)
    return b"".join([header, *segments, note, *(data for _, data in memory)])


def make_root(
    directory: Path,
    files: Mapping[str, bytes],
    note: bytes,
    memory: Sequence[tuple[int, bytes]],
) -> Path:
    """Write the files, by their absolute paths, and the core file."""
    for name, data in files.items():
        path = directory / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (directory / "proc").mkdir(parents=True, exist_ok=True)
    (directory / "proc/kcore").write_bytes(kcore(note, memory))
    return directory
