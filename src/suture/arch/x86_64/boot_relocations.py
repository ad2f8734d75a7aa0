# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of places that change when an x86 kernel moves itself at boot.

``arch/x86/tools/relocs.c`` makes the list, which stands behind the ELF file in the bootable image
(``arch/x86/boot/compressed/Makefile: vmlinux.bin.all``).  It consists of numbers of 32 bits, the
low halves of link addresses, in groups that each begin with a zero
(``arch/x86/boot/compressed/misc.c: handle_relocations()``): words of 64 bits; until 6.14, distances
of 32 bits to per-CPU data, which does not move; and addresses of 32 bits.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Sequence

from suture.arch.boot_relocations import BootRelocations

TOP = 0xFFFFFFFF00000000
"""The kernel is linked into the topmost 2 GiB."""


def read(behind: bytes) -> BootRelocations | None:
    """Read the list.

    :param behind: what follows the ELF file.
    :return: None if it is no such list
    """
    count = len(behind) // 4
    numbers = struct.unpack(f"<{count}I", behind[: 4 * count])
    if not numbers or numbers[0] != 0:
        return None
    groups = list(_groups(numbers[1:]))
    if len(groups) == 2:
        groups.insert(1, [])
    if len(groups) != 3:
        return None
    words, inverse, fields = (array("Q", sorted(n | TOP for n in group)) for group in groups)
    return BootRelocations(words, inverse, fields)


def _groups(numbers: Sequence[int]) -> Iterator[list[int]]:
    group: list[int] = []
    for number in numbers:
        if number:
            group.append(number)
        else:
            yield group
            group = []
    yield group
