# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls: the numbers of those that Python lacks, and the kernel's names of their entries."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EntryName:
    """The names of entries that take a system call's registers (``ARCH_HAS_SYSCALL_WRAPPER``).

    :ivar prefix: comes before ``sys_NAME`` or ``compat_sys_NAME``.
    :ivar arguments: the macro that reads arguments from ``struct pt_regs``.
    """

    prefix: str
    arguments: str


@dataclass(frozen=True, slots=True)
class SystemCalls:
    """An architecture's system calls.

    :ivar entries: in the order of the search for them.
    :ivar finit_module, delete_module, keyctl: their numbers.
    """

    entries: tuple[EntryName, ...]
    finit_module: int
    delete_module: int
    keyctl: int
