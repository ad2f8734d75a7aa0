# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls of x86-64 (``arch/x86/entry/syscalls/syscall_64.tbl``,
``arch/x86/include/asm/syscall_wrapper.h``)."""

from __future__ import annotations

from suture.arch.syscalls import EntryName, SystemCalls

SYSCALLS = SystemCalls(
    entries=(
        EntryName("__x64_", "SC_X86_64_REGS_TO_ARGS"),
        EntryName("__ia32_", "SC_IA32_REGS_TO_ARGS"),
    ),
    finit_module=313,
    delete_module=176,
    keyctl=250,
)
