# SPDX-License-Identifier: GPL-2.0-or-later
"""What lab tests do in a guest, by the kernel's own interface
(Documentation/ABI/testing/sysfs-kernel-livepatch)."""

from __future__ import annotations

from suture.builder.artifact import Artifact
from suture.lab.machine import Machine


class Guest:
    """A booted kernel, and live patches coming and going in it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def sh(self, command: str) -> str:
        result = self.machine.run(command)
        assert result.status == 0, result.text
        return result.text

    def load(self, built: Artifact) -> None:
        self.machine.put(f"/tmp/{built.patch.name}.ko", built.path.read_bytes())
        self.sh(f"insmod /tmp/{built.patch.name}.ko")
        self.settle(built)

    def settle(self, built: Artifact) -> None:
        self.sh(
            f"while [ $(cat /sys/kernel/livepatch/{built.patch.name}/transition) != 0 ]; do sleep 0.2; done"
        )

    def unload(self, built: Artifact) -> None:
        name = built.patch.name
        self.sh(f"echo 0 >/sys/kernel/livepatch/{name}/enabled")
        self.sh(f"while [ -d /sys/kernel/livepatch/{name} ]; do sleep 0.2; done")
        self.sh(f"rmmod {name}")

    def meminfo(self) -> str:
        return self.sh("head -n 1 /proc/meminfo").split(":")[0]
