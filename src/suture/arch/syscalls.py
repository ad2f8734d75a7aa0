# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls: the numbers of those that Python does not have, and what the kernel calls the
functions that take their registers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EntryName:
    """A set of functions that take a system call's registers (``ARCH_HAS_SYSCALL_WRAPPER``).

    :ivar prefix: what stands before ``sys_NAME`` or ``compat_sys_NAME``.
    :ivar arguments: the macro that takes arguments out of ``struct pt_regs``.
    """

    prefix: str
    arguments: str


@dataclass(frozen=True, slots=True)
class SystemCalls:
    """:ivar entries: in the order in which they are looked for.
    :ivar finit_module, delete_module, keyctl: their numbers.
    """

    entries: tuple[EntryName, ...]
    finit_module: int
    delete_module: int
    keyctl: int
