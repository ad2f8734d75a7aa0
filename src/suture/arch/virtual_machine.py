# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's machine for a kernel, and the kernel's messages about problems."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VirtualMachine:
    """QEMU's machine for an architecture.

    :ivar program: QEMU's program.
    :ivar machine: the options for the board, if QEMU's default will not do.
    :ivar emulated_cpu: the largest processor that QEMU can emulate, so that the guest applies the
        same alternatives as on a real processor.
    :ivar console: the device of the kernel log, and its parameters.
    :ivar serial: a second serial port with a built-in driver, or "".
    :ivar bus: the bus of the devices, as in QEMU's ``virtio-serial-pci``.
    :ivar secure_boot: the options for a board with firmware for Secure Boot.
    :ivar complaints: name and pattern of the kernel's messages about problems, besides those of
        every architecture.
    """

    program: str
    console: str
    serial: str
    bus: str
    machine: tuple[str, ...] = ()
    emulated_cpu: str = "max"
    secure_boot: tuple[str, ...] = ()
    complaints: tuple[tuple[str, str], ...] = ()
