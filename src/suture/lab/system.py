# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest with its own system: a small real distribution with systemd, on a disk that keeps its
contents over reboots.

>>> with System.make(target) as system:  # doctest: +SKIP
...     with system.boot() as machine:
...         machine.run("suture install /root/fix.ko")
...         machine.power_off()
...     with system.boot(cmdline_extra="suture.disable=1") as machine:
...         machine.run("suture status")

A machine that ends without `Machine.power_off` has lost its power: data that it had not written to
its disk is lost.  Suture is installed as the base install (`suture.lab.installed`), on a separate
disk at ``/usr/local``, unless the system is to have everything itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from suture.host import run
from suture.kernel.release import Target
from suture.lab import guests, initramfs, installed, module_tree, qemu
from suture.lab.machine import Machine, platform_of, wire_modules

MEMORY = 512
"""MiB."""

BOOT_DEADLINE = 300.0
"""Seconds.  An emulated processor that others work beside takes a minute."""

DISK_MODULES = ("virtio_blk", "ext4")

CMDLINE = ("systemd.show_status=no", "systemd.log_level=notice", "net.ifnames=0")


@dataclass(frozen=True, slots=True)
class System:
    """A target with a disk.

    :ivar disk: the image of the guest's root file system, ext4 with no partitions.
    :ivar is_whole: the system has Suture and the modules of its kernels itself, or does without;
        otherwise the lab mounts them.
    """

    target: Target
    disk: Path
    is_whole: bool = False

    @classmethod
    @contextmanager
    def make(cls, target: Target, whole: Path | None = None) -> Iterator[System]:
        """Make a new system; it is removed when the block ends.

        :param whole: the image of one that has everything itself, which is copied.
        :raises Refusal: as `suture.lab.guests.here`, its image and `suture.lab.installed.image`
        """
        base = whole or guests.here().image()
        with tempfile.TemporaryDirectory(prefix="suture-") as work:
            disk = Path(work, "root.ext4")
            run.check(["cp", "--sparse=always", "--reflink=auto", base, disk])
            yield cls(target, disk, is_whole=whole is not None)

    def boot(
        self,
        *,
        modules: Sequence[str] = (),
        files: Mapping[str, bytes] | None = None,
        memory: int = MEMORY,
        cmdline_extra: str = "",
        deadline: float = BOOT_DEADLINE,
        accelerator: qemu.Accelerator | None = None,
    ) -> Machine:
        """Boot the system, and wait until it accepts commands; the parameters are those of
        `Machine.boot`.

        :param files: written to the disk, where they stay, all of them executable.
        :raises Refusal: ``lab-boot-failed``, ``module-not-found``, ``tool-missing``,
            ``file-unreadable``
        """
        needed = [*modules, *wire_modules(platform_of(self.target)), *DISK_MODULES]
        image = initramfs.build(
            {
                **module_tree.build(self.target, needed),
                **{
                    f"/lab/{name}": initramfs.script(name)
                    for name in ("agent.sh", "suture-lab.service")
                },
                **{f"/lab/files{path}": content for path, content in (files or {}).items()},
            },
            init="switch.sh",
        )
        return self.start(
            image,
            memory=memory,
            cmdline_extra=cmdline_extra,
            deadline=deadline,
            accelerator=accelerator,
        )

    def start(
        self,
        image: bytes,
        *,
        memory: int = MEMORY,
        cmdline_extra: str = "",
        deadline: float = BOOT_DEADLINE,
        accelerator: qemu.Accelerator | None = None,
    ) -> Machine:
        """Boot the system from its own initramfs, which starts the agent.

        :raises Refusal: ``lab-boot-failed``, ``tool-missing``
        """
        others = () if self.is_whole else (qemu.Disk(installed.image()),)
        words = (*CMDLINE, *(("disk_is_whole=1",) if self.is_whole else ()), cmdline_extra)
        return Machine.start(
            self.target,
            image,
            qemu.Wire.VIRTIO,
            disks=[qemu.Disk(self.disk, writable=True), *others],
            memory=memory,
            cmdline_extra=" ".join(words),
            deadline=deadline,
            accelerator=accelerator,
        )
