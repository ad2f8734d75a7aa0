# SPDX-License-Identifier: GPL-2.0-or-later
"""The choice of an accelerator: KVM if a guest really boots under it, else emulation.

``/dev/kvm`` can exist and open while a guest under it never leaves the firmware, or QEMU stops at a
register that the outer hypervisor refuses.  So the target is booted under KVM once, with a short
deadline, and the result is kept until the host reboots or QEMU changes.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from platform import machine

from suture import arch
from suture.arch.virtual_machine import VirtualMachine
from suture.host import files, paths, progress
from suture.lab import initramfs
from suture.lab.channel import Channel, ChannelClosed
from suture.lab.qemu import Accelerator, Qemu, Wire, version

DEVICE = Path("/dev/kvm")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

DEADLINE = 12.0
"""Seconds for the trial.  A guest under a KVM worth using is up in two."""


def choose(vmlinuz: Path, platform: VirtualMachine) -> Accelerator:
    """Return the fastest accelerator under which `vmlinuz` boots on this host.

    :param platform: the virtual machine of its architecture.
    :raises Refusal: ``tool-missing``, ``disk-full``
    """
    if not os.access(DEVICE, os.R_OK | os.W_OK) or not _is_hosts(platform):
        return Accelerator.TCG
    record = paths.cache() / "lab" / "accelerator.json"
    key = f"{BOOT_ID.read_text().strip()} {version(platform.program)}"
    with files.locked(record.with_suffix(".lock")):
        known = _recorded(record, key)
        if known is None:
            with progress.step("Trying whether KVM works here"):
                works = boots(Accelerator.KVM, vmlinuz, platform)
                known = Accelerator.KVM if works else Accelerator.TCG
            files.write_atomic(
                record, json.dumps({"key": key, "accelerator": known.value}).encode()
            )
    return known


def _is_hosts(platform: VirtualMachine) -> bool:
    host = arch.named(machine())
    return host is not None and host.virtual_machine == platform


def boots(
    accelerator: Accelerator, vmlinuz: Path, platform: VirtualMachine, deadline: float = DEADLINE
) -> bool:
    """Tell whether a guest starts the agent within `deadline` seconds."""
    nothing = initramfs.build({})
    qemu = Qemu(platform, accelerator, vmlinuz, nothing, Wire.SERIAL, memory=512)
    try:
        Channel(qemu.wire).wait_ready(time.monotonic() + deadline)
    except (TimeoutError, ChannelClosed):
        return False
    else:
        return True
    finally:
        qemu.close()


def _recorded(record: Path, key: str) -> Accelerator | None:
    """Return the result recorded under the same `key`; None if the record is missing, outdated or
    damaged."""
    try:
        content = json.loads(record.read_bytes())
        return Accelerator(content["accelerator"]) if content["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
