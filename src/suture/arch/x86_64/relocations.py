# SPDX-License-Identifier: GPL-2.0-or-later
"""Relocation types of x86-64 that the kernel's module loader and its image use.

Reference: System V psABI for x86-64, table 4.9; ``arch/x86/kernel/module.c:
__write_relocate_add()``.
"""

from __future__ import annotations

from collections.abc import Mapping

from suture.arch.relocations import RelocationType, RelocationTypes

ADDRESS64, PC32, PC8 = 1, 2, 15

TYPES: Mapping[int, RelocationType] = {
    0: RelocationType("R_X86_64_NONE", 0, False, False),
    1: RelocationType("R_X86_64_64", 8, False, False),
    2: RelocationType("R_X86_64_PC32", 4, True, True),
    # 3: R_X86_64_GOT32: the kernel has no GOT
    4: RelocationType("R_X86_64_PLT32", 4, True, True),  # the kernel has no PLT: the same as PC32
    # 5-9: R_X86_64_COPY, GLOB_DAT, JUMP_SLOT, RELATIVE, GOTPCREL: dynamic linking
    10: RelocationType("R_X86_64_32", 4, False, False),
    11: RelocationType("R_X86_64_32S", 4, False, True),
    # 12-14: 16 and 8 bits: not in kernel objects
    # 15: only suture.objects.neighbours makes it; its code cannot be moved
    15: RelocationType("R_X86_64_PC8", 1, True, True),
    # 16-23: thread-local storage: not in kernel objects
    24: RelocationType("R_X86_64_PC64", 8, True, True),
}

RELOCATIONS = RelocationTypes(TYPES, address=ADDRESS64, relative=PC32, unmovable=frozenset({PC8}))
