# SPDX-License-Identifier: GPL-2.0-or-later
"""What an administrator wants to know of the host beside its live patches: taint, and whether a newer kernel waits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from suture.core import modules, running
from suture.core.running import ROOT, text

TAINT = "PFRSMBUDAWCIOELKXTNJ"
"""Bit by bit; ``Documentation/admin-guide/tainted-kernels.rst``.  Bit 0 is shown as ``G`` when it is not set."""


@dataclass(frozen=True, slots=True)
class Taint:
    """One reason for which the kernel calls itself tainted.

    :ivar flag: the letter that stands in its reports.
    :ivar modules: those in memory that brought it; none where they are gone, or it was no module.
    """

    flag: str
    modules: tuple[str, ...]


def taints(root: Path = ROOT) -> tuple[Taint, ...]:
    """``/proc/sys/kernel/tainted``, with who brought each flag."""
    value = text(root / "proc/sys/kernel/tainted")
    bits = int(value) if value.isdigit() else 0
    by = modules.loaded(root) if bits else ()
    flags = [TAINT[bit] if bit < len(TAINT) else str(bit) for bit in range(bits.bit_length()) if bits >> bit & 1]
    return tuple(Taint(flag, tuple(module.name for module in by if flag in module.taints)) for flag in flags)


def newer_kernel(root: Path = ROOT) -> str | None:
    """The newest installed release of the running kernel's flavour, if it is newer than the running one."""
    now = running.release(root)
    flavour = now.rpartition("-")[2]
    installed = [path.name.removeprefix("vmlinuz-") for path in (root / "boot").glob(f"vmlinuz-*-{flavour}")]
    newest = max(installed, key=_order, default=None)
    return newest if newest is not None and _order(newest) > _order(now) else None


def _order(release: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"[0-9]{1,9}", release))
