# SPDX-License-Identifier: GPL-2.0-or-later
"""What the lab needs: QEMU, a busybox that runs with nothing beside it, and something to run guests
on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from suture.doctor.building import package_check
from suture.doctor.check import Check, Status
from suture.errors import Refusal
from suture.host.packages import PACKAGES, Purpose
from suture.lab.initramfs import BUSYBOX, static_busybox


def checks() -> Iterator[Check]:
    for package in PACKAGES:
        if package.purpose is Purpose.TESTING and package.name != "busybox-static":
            yield package_check(package)
    yield busybox_check(BUSYBOX)
    yield kvm_check(Path("/dev/kvm"))


def busybox_check(path: Path) -> Check:
    try:
        static_busybox(path)
    except Refusal as refusal:
        remedy = "install busybox-static"
        return Check(
            Purpose.TESTING, "static busybox", Status.LACK, refusal.found, remedy, "busybox-static"
        )
    return Check(Purpose.TESTING, "static busybox", Status.OK, str(path))


def kvm_check(device: Path) -> Check:
    """Never a lack: the lab emulates a processor where there is no KVM."""
    if not device.exists():
        found = "none: the lab emulates a processor, which is slower"
    elif not os.access(device, os.R_OK | os.W_OK):
        found = "not ours to use: the lab emulates a processor, which is slower"
        return Check(
            Purpose.TESTING, str(device), Status.WARNING, found, "add your user to the group kvm"
        )
    else:
        found = "there; whether guests boot under it, the lab finds out"
    return Check(Purpose.TESTING, str(device), Status.OK, found)
