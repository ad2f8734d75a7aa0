# SPDX-License-Identifier: GPL-2.0-or-later
"""A copy of what a guest shows of its kernel's memory, for a comparison on this side."""

from __future__ import annotations

import struct
from pathlib import Path

from suture.kernel.elf64 import HEADER, PT_LOAD, SEGMENT
from suture.lab.machine import Machine
from tests.live_root import make_root

PAGE = 4096
PIECE = 8 << 20
SLACK = 2 << 20
"""Behind the last symbol of a module."""

FILES = (
    "/proc/kallsyms",
    "/proc/modules",
    "/proc/sys/kernel/osrelease",
    "/sys/kernel/notes",
    "/sys/kernel/debug/kprobes/list",
    "/sys/kernel/tracing/enabled_functions",
)


class GuestMemory:
    """The memory of a guest, through its own ``/proc/kcore``."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        head = self.output(f"dd if=/proc/kcore bs={PAGE} count=2 2>/dev/null")
        fields = struct.unpack_from(f"<{HEADER}", head)
        offset, count = fields[5], fields[10]
        entry = struct.Struct(f"<{SEGMENT}")
        table = head[offset : offset + entry.size * count]
        self._segments = list(entry.iter_unpack(table))

    def output(self, command: str) -> bytes:
        result = self._machine.run(command, deadline=120)
        assert result.status == 0, result.text
        return result.output

    def note(self) -> bytes:
        """The notes of the core file."""
        start, size = next((one[2], one[5]) for one in self._segments if one[0] == 4)
        return self.output(f"dd if=/proc/kcore bs=1 skip={start} count={size} 2>/dev/null")

    def read(self, begin: int, end: int) -> list[tuple[int, bytes]]:
        """The pages of a range of addresses."""
        begin, end = begin & -PAGE, end + PAGE - 1 & -PAGE
        segment = next(
            one for one in self._segments if one[0] == PT_LOAD and one[3] <= begin < one[3] + one[6]
        )
        pieces = []
        for address in range(begin, end, PIECE):
            first = (segment[2] + address - segment[3]) // PAGE
            count = (min(end, address + PIECE) - address) // PAGE
            command = f"dd if=/proc/kcore bs={PAGE} skip={first} count={count} 2>/dev/null"
            pieces.append((address, self.output(command)))
        return pieces


def copy_live(machine: Machine, directory: Path) -> Path:
    """Write a directory that is like the guest's ``/``, as far as a comparison looks at it."""
    memory = GuestMemory(machine)
    files = {name: memory.output(f"cat {name}") for name in FILES}
    sections = memory.output("cd /sys/module; grep -H . */sections/* */sections/.[!.]* || true")
    for line in sections.decode().splitlines():
        name, _, value = line.partition(":")
        files[f"/sys/module/{name}"] = f"{value}\n".encode()
    lines = [line.split() for line in files["/proc/kallsyms"].decode().splitlines()]
    symbols = {words[2]: int(words[0], 16) for words in lines if len(words) == 3}
    of_modules = [int(words[0], 16) for words in lines if len(words) == 4]
    modules = [address for address in of_modules if address > symbols["_end"]]
    pieces = memory.read(symbols["_text"], symbols["_end"])
    pieces += memory.read(min(modules), max(modules) + SLACK)
    return make_root(directory, files, memory.note(), pieces)
