# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's PC."""

from __future__ import annotations

from suture.arch.virtual_machine import VirtualMachine

VIRTUAL_MACHINE = VirtualMachine(
    program="qemu-system-x86_64",
    console="ttyS0,115200",
    serial="ttyS1",  # the 8250 driver is built in
    bus="pci",
    # System Management Mode protects the firmware's variables from the kernel; firmware for Secure
    # Boot does not run without it.
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
            r"^(divide error|invalid opcode|double fault|stack segment|int3|bounds|"
            r"control protection)\b",
        ),
    ),
)
