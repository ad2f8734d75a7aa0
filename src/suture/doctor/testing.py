# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks for the lab: QEMU, a static busybox, and KVM."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from suture.doctor.building import needed, tool_check
from suture.doctor.check import Check, CheckStatus
from suture.errors import Refusal
from suture.host.packages import Purpose


def checks() -> Iterator[Check]:
    """Yield the checks for testing."""
    try:
        from suture.lab.initramfs import BUSYBOX
    except ModuleNotFoundError:  # a runtime half alone, and 'Python packages' says so
        return
    for tool in needed(Purpose.TESTING):
        if tool.program != BUSYBOX.name:
            yield tool_check(tool)
    yield busybox_check(BUSYBOX)
    yield kvm_check(Path("/dev/kvm"))


def busybox_check(path: Path) -> Check:
    """Check for a busybox that needs no libraries."""
    from suture.lab.initramfs import busybox_package, static_busybox

    try:
        static_busybox(path)
    except Refusal as refusal:
        package = busybox_package()
        return Check(
            Purpose.TESTING,
            "static busybox",
            CheckStatus.LACK,
            refusal.found,
            f"install {package or 'a static busybox'}",
            package,
        )
    return Check(Purpose.TESTING, "static busybox", CheckStatus.OK, str(path))


def kvm_check(device: Path) -> Check:
    """Check for KVM; without it, the lab emulates a processor, so it is never a lack."""
    if not device.exists():
        found = "none: the lab emulates a processor, which is slower"
    elif not os.access(device, os.R_OK | os.W_OK):
        found = "no access: the lab emulates a processor, which is slower"
        return Check(
            Purpose.TESTING,
            str(device),
            CheckStatus.WARNING,
            found,
            "add your user to the group kvm",
        )
    else:
        found = "there; the lab finds out whether guests boot under it"
    return Check(Purpose.TESTING, str(device), CheckStatus.OK, found)
