# SPDX-License-Identifier: GPL-2.0-or-later
"""A PC, as QEMU makes it."""

from __future__ import annotations

from suture.arch.virtual_machine import VirtualMachine

VIRTUAL_MACHINE = VirtualMachine(
    program="qemu-system-x86_64",
    console="ttyS0,115200",
    serial="ttyS1",  # the 8250 driver is built in
    bus="pci",
    # System Management Mode keeps the variables from the kernel; a build for Secure Boot does not
    # run without.
    secure_boot=(
        *("-machine", "q35,smm=on"),
        *("-global", "driver=cfi.pflash01,property=secure,value=on"),
    ),
    complaints=(
        # arch/x86/kernel/traps.c: exc_general_protection()
        ("general protection", r"\bgeneral protection\b"),
        # arch/x86/mm/fault.c
        ("page fault", r"^unable to handle |^kernel tried to execute NX-protected page"),
        (
            "trap",
            r"^(divide error|invalid opcode|double fault|stack segment|int3|bounds|control protection)\b",
        ),
    ),
)
