# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's initramfs-tools in a guest, and what makes the lab's agent run in a guest that an image
of theirs booted."""

from __future__ import annotations

from suture.arch.x86_64.virtual_machine import VIRTUAL_MACHINE
from suture.kernel.release import Target
from suture.lab import initramfs
from suture.lab.machine import wire_modules
from suture.lab.qemu import Wire
from suture.lab.system import DISK_MODULES
from tests.lab import debs

PACKAGES = ("initramfs-tools-core", "klibc-utils", "libklibc", "cpio")
"""No busybox, and no udev: an image has less without them, and modules that are listed are loaded
without it."""

CONFIG = {
    "etc/initramfs-tools/initramfs.conf": "MODULES=list\nCOMPRESS=gzip\nBUSYBOX=auto\n",
    "etc/initramfs-tools/modules": "".join(
        f"{name}\n" for name in (*wire_modules(VIRTUAL_MACHINE), *DISK_MODULES)
    ),
}

AGENT = """\
#!/bin/sh
case $1 in
prereqs) exit 0 ;;
esac
mount -t ext4 -o ro /dev/vdb "$rootmnt/usr/local"
mkdir -p /run/lab /run/systemd/system/multi-user.target.wants
# klibc has no cp.
cat /lab/agent.sh >/run/lab/agent.sh
cat /lab/suture-lab.service >/run/systemd/system/suture-lab.service
ln -s ../suture-lab.service /run/systemd/system/multi-user.target.wants
# As udev's own does: a root file system that was made without the right to make devices has no
# /dev/console.
mount -n -o move /dev "$rootmnt/dev"
"""


def files(target: Target) -> dict[str, bytes]:
    """What the packages hold, where a merged ``/usr`` has it, and a configuration for the lab's
    machine."""
    tree = debs.unpacked(*PACKAGES)
    found = {}
    for path in tree.rglob("*"):
        if path.is_file():
            place = str(path.relative_to(tree))
            found[
                f"/usr/{place}" if place.startswith(("bin/", "sbin/", "lib/")) else f"/{place}"
            ] = path.read_bytes()
    found |= {f"/{place}": text.encode() for place, text in CONFIG.items()}
    return found | {f"/boot/config-{target.release}": target.config.read_bytes()}


def with_agent(image: bytes) -> bytes:
    """An image of initramfs-tools' and the lab's agent: of several archives the kernel unpacks one
    after the other."""
    service = initramfs.script("suture-lab.service").replace(b"@wire@", Wire.VIRTIO.value.encode())
    order = b'/scripts/init-bottom/lab "$@"\n'
    added = {
        "lab/agent.sh": initramfs.script("agent.sh"),
        "lab/suture-lab.service": service,
        "scripts/init-bottom/lab": AGENT.encode(),
        "scripts/init-bottom/ORDER": order,
    }
    entries = [initramfs.ArchiveMember(name, 0o040755) for name in ("lab", "scripts/init-bottom")]
    entries += [initramfs.ArchiveMember(name, 0o100755, data) for name, data in added.items()]
    return image + bytes(-len(image) % 4) + initramfs.archive(entries)
