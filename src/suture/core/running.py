# SPDX-License-Identifier: GPL-2.0-or-later
"""What the running kernel says of itself, where that decides whether it takes a live patch.

Every function takes `root`, the directory that holds ``/proc`` and ``/sys``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

ROOT = Path("/")

PIECE = 1 << 16

SECURE_BOOT = (
    (
        "sys/firmware/efi/efivars",
        "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
    ),  # where efivarfs is mounted
    ("sys/firmware/efi/mok-variables", "SecureBoot"),  # shown to root
)

CAP_SYS_MODULE = 16
"""``include/uapi/linux/capability.h``"""


def text(path: Path) -> str:
    """A file of the kernel's, or "" where this kernel does not have it or does not show it to
    us."""
    return content(path).decode(errors="replace").strip()


def content(path: Path) -> bytes:
    """As `text`, byte for byte."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    pieces = []
    try:
        while piece := os.read(descriptor, PIECE):
            pieces.append(piece)
    except OSError:
        return b""  # such as ESRCH of a task that has ended
    finally:
        os.close(descriptor)
    return b"".join(pieces)


def release(root: Path = ROOT) -> str:
    """``uname -r``, from where a test can say otherwise."""
    return text(root / "proc/sys/kernel/osrelease")


def order(release: str) -> tuple[int, ...]:
    """The sort key of releases: all their numbers."""
    return tuple(int(number) for number in re.findall(r"[0-9]{1,9}", release))


def boot_id(root: Path = ROOT) -> str:
    """Another one for each boot."""
    return text(root / "proc/sys/kernel/random/boot_id")


def may_load(root: Path = ROOT) -> bool:
    """Whether this process has ``CAP_SYS_MODULE``."""
    match = re.search(r"^CapEff:\s*([0-9a-f]+)$", text(root / "proc/self/status"), re.MULTILINE)
    return bool(match and int(match[1], 16) >> CAP_SYS_MODULE & 1)


def modules_disabled(root: Path = ROOT) -> bool:
    """``Documentation/admin-guide/sysctl/kernel.rst: modules_disabled``; it holds until the next
    boot."""
    return text(root / "proc/sys/kernel/modules_disabled") == "1"


def ftrace_disabled(root: Path = ROOT) -> bool:
    """``kernel.ftrace_enabled=0``: no function can be redirected (``kernel/trace/ftrace.c:
    ftrace_startup()``)."""
    return text(root / "proc/sys/kernel/ftrace_enabled") == "0"


def lockdown(root: Path = ROOT) -> str:
    """``kernel_lockdown(7)``: the mode in force stands in brackets; ``none`` where there is no
    lockdown."""
    match = re.search(r"\[(\w+)\]", text(root / "sys/kernel/security/lockdown"))
    return match[1] if match else "none"


def has_uefi(root: Path = ROOT) -> bool:
    """Whether UEFI firmware started this kernel (``drivers/firmware/efi/efi.c:
    efisubsys_init()``)."""
    return (root / "sys/firmware/efi").is_dir()


def secure_boot(root: Path = ROOT) -> bool:
    """The variable of the firmware's that says so, from either of the places where it is shown."""
    shown = (root / path / name for path, name in SECURE_BOOT)
    return any(content(path).endswith(b"\1") for path in shown)


def signatures_enforced(root: Path = ROOT) -> bool:
    """``Documentation/admin-guide/module-signing.rst``; the parameter is there with
    ``CONFIG_MODULE_SIG``."""
    return text(root / "sys/module/module/parameters/sig_enforce") == "Y"


def available_memory(root: Path = ROOT) -> int | None:
    """``MemAvailable`` in bytes."""
    match = re.search(r"^MemAvailable:\s*(\d+) kB$", text(root / "proc/meminfo"), re.MULTILINE)
    return int(match[1]) * 1024 if match else None
