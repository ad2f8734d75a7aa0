# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine that QEMU makes for a kernel, and what its kernel prints when something is wrong."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VirtualMachine:
    """:ivar program: QEMU's.
    :ivar machine: the options for the board, where QEMU's default will not do.
    :ivar emulated_cpu: the most that QEMU can emulate, so that the guest patches in the same
        alternatives as a real processor.
    :ivar console: the device that the kernel log goes to, and its parameters.
    :ivar serial: the serial port beside it, without driver to load; or "".
    :ivar bus: what devices are on, as in QEMU's ``virtio-serial-pci``.
    :ivar secure_boot: the options for a board with firmware that only boots what it trusts.
    :ivar complaints: what the kernel prints in addition to what every kernel does: what it is, and
        a pattern.
    """

    program: str
    console: str
    serial: str
    bus: str
    machine: tuple[str, ...] = ()
    emulated_cpu: str = "max"
    secure_boot: tuple[str, ...] = ()
    complaints: tuple[tuple[str, str], ...] = ()
