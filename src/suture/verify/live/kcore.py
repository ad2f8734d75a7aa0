# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's memory through ``/proc/kcore``, an ELF core file (``fs/proc/kcore.c``).

Each ``PT_LOAD`` header names a range of kernel addresses.  The note ``VMCOREINFO`` has lines
``NAME=VALUE`` about the kernel (``Documentation/admin-guide/kdump/vmcoreinfo.rst``).
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Mapping
from pathlib import Path

from suture import arch
from suture.kernel.elf64 import HEADER, PT_LOAD, SEGMENT, Segment

PT_NOTE = 4

MOST_HEADERS = 4096
LARGEST_NOTES = 1 << 20
LAST_OFFSET = (1 << 63) - 1

_LINE = re.compile(rb"^([A-Za-z_][\w()-]*)=(.*)$", re.MULTILINE)


class Kcore:
    """The memory of a running kernel.

    :raises OSError: the file cannot be opened or read
    :raises ValueError: it is not a core file of a known machine
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._segments, notes = self._headers()
        except BaseException:
            os.close(self._file)
            raise
        self.vmcoreinfo = _vmcoreinfo(notes)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def read(self, address: int, size: int) -> bytes:
        """Return the bytes at an address; fewer, or none, where there is no memory."""
        for segment in self._segments:
            start = address - segment.address
            if 0 <= start < segment.memory_size:
                size = min(size, segment.memory_size - start)
                try:
                    return self._at(segment.offset + start, size)
                except OSError:
                    return b""
        return b""

    def _at(self, offset: int, size: int) -> bytes:
        return os.pread(self._file, size, offset) if offset <= LAST_OFFSET else b""

    def _headers(self) -> tuple[list[Segment], bytes]:
        machine = arch.identify(self._at(0, arch.IDENTIFIED))
        if machine is None:
            raise ValueError("it is not an ELF file")
        form = struct.Struct(machine.prefix + HEADER)
        header = self._at(0, form.size)
        if len(header) < form.size:
            raise ValueError("its header is truncated")
        (_, _, _, _, _, offset, _, _, _, size, count, *_) = form.unpack(header)
        entry = struct.Struct(machine.prefix + SEGMENT)
        table = self._at(offset, entry.size * min(count, MOST_HEADERS))
        if size != entry.size or len(table) < entry.size * count:
            raise ValueError("its program headers are truncated")
        segments, notes = [], b""
        for kind, _, start, address, _, file_size, memory_size, _ in entry.iter_unpack(table):
            if kind == PT_LOAD:
                segments.append(Segment(start, address, file_size, memory_size))
            elif kind == PT_NOTE:
                notes += self._at(start, min(file_size, LARGEST_NOTES))
        return segments, notes


def _vmcoreinfo(notes: bytes) -> Mapping[str, str]:
    _, _, lines = notes.partition(b"VMCOREINFO\0")
    return {name.decode(): value.decode("ascii", "replace") for name, value in _LINE.findall(lines)}
