# SPDX-License-Identifier: GPL-2.0-or-later
"""What the running kernel says to live patches.  All of it is a warning: another host may be the one that loads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from suture.doctor.check import Check, Status
from suture.host.packages import Purpose

CAP_SYS_MODULE = 16
"""``include/uapi/linux/capability.h``"""


def checks(root: Path = Path("/")) -> Iterator[Check]:
    """:param root: where ``/proc`` and ``/sys`` are."""
    yield _livepatch(root)
    yield _capability(root)
    yield _modules_disabled(root)
    yield _lockdown(root)
    yield _signatures(root)


def _livepatch(root: Path) -> Check:
    name = "live patching"
    if (root / "sys/kernel/livepatch").is_dir():
        return Check(Purpose.LOADING, name, Status.OK, "the running kernel has CONFIG_LIVEPATCH")
    return Check(
        Purpose.LOADING,
        name,
        Status.WARNING,
        "the running kernel was built without CONFIG_LIVEPATCH",
        "boot a kernel of the distribution",
    )


def _capability(root: Path) -> Check:
    match = re.search(r"^CapEff:\s*([0-9a-f]+)$", _read(root / "proc/self/status"), re.MULTILINE)
    if match and int(match[1], 16) >> CAP_SYS_MODULE & 1:
        return Check(Purpose.LOADING, "CAP_SYS_MODULE", Status.OK, "this process may load modules")
    found = "this process may not load modules"
    return Check(Purpose.LOADING, "CAP_SYS_MODULE", Status.WARNING, found, "load live patches as root")


def _modules_disabled(root: Path) -> Check:
    """``Documentation/admin-guide/sysctl/kernel.rst: modules_disabled``"""
    name = "kernel.modules_disabled"
    if _read(root / "proc/sys/kernel/modules_disabled") == "1":
        found = "no module can be loaded or unloaded until the next boot"
        return Check(Purpose.LOADING, name, Status.WARNING, found, "boot without setting that sysctl")
    return Check(Purpose.LOADING, name, Status.OK, "modules can be loaded")


def _lockdown(root: Path) -> Check:
    """``kernel_lockdown(7)``: the mode in force stands in brackets."""
    match = re.search(r"\[(\w+)\]", _read(root / "sys/kernel/security/lockdown"))
    if match and match[1] != "none":
        return Check(
            Purpose.LOADING,
            "lockdown",
            Status.WARNING,
            f"{match[1]}: only modules with a signature that this kernel trusts are loaded",
            "sign live patches with a key that is enrolled here (mokutil(1))",
        )
    return Check(Purpose.LOADING, "lockdown", Status.OK, "none")


def _signatures(root: Path) -> Check:
    """``Documentation/admin-guide/module-signing.rst``; the parameter is there with ``CONFIG_MODULE_SIG``."""
    enforce = _read(root / "sys/module/module/parameters/sig_enforce")
    if enforce == "Y":
        return Check(
            Purpose.LOADING,
            "module signatures",
            Status.WARNING,
            "enforced: only modules with a signature that this kernel trusts are loaded",
            "sign live patches with a key that is enrolled here (mokutil(1))",
        )
    return Check(Purpose.LOADING, "module signatures", Status.OK, "not enforced")


def _read(path: Path) -> str:
    """A file of the kernel's, or "" where this kernel does not have it."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
