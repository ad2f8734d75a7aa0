# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of the host besides its live patches: taint, and whether a newer kernel is
installed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from suture.core import modules, running
from suture.core.modules import LoadedModule
from suture.core.running import ROOT, text

TAINT = (
    ("P", "a proprietary module"),
    ("F", "a force-loaded module"),
    ("S", "an out-of-specification system"),
    ("R", "a force-unloaded module"),
    ("M", "a machine check"),
    ("B", "a bad page"),
    ("U", "requested by a program"),
    ("D", "an oops or BUG"),
    ("A", "an overridden ACPI table"),
    ("W", "a kernel warning"),
    ("C", "a staging driver"),
    ("I", "a firmware workaround"),
    ("O", "an out-of-tree module"),
    ("E", "an unsigned module"),
    ("L", "a soft lockup"),
    ("K", "a live patch"),
    ("X", "defined by the distribution"),
    ("T", "randomized structures"),
    ("N", "an in-kernel test"),
    ("J", "fwctl debugging"),
)
"""Bit by bit, ``include/linux/panic.h: TAINT_*``: the letter of ``kernel/panic.c: taint_flags``,
and what it says (``Documentation/admin-guide/tainted-kernels.rst``).  Bit 0 is shown as ``G`` when
it is not set."""

_FLAVOUR = re.compile(r"[^-]+(?:-[0-9][^-]*)?-(?P<flavour>.+)")
"""Of a release, such as ``amd64`` in 6.1.0-50-amd64, and ``cloud-amd64`` in
6.1.0-50-cloud-amd64."""


@dataclass(frozen=True, slots=True)
class Taint:
    """One reason why the kernel is tainted.

    :ivar flag: the letter in the kernel's reports.
    :ivar about: its meaning.
    :ivar modules: the loaded modules that caused it; none if they are gone or no module did.
    :ivar is_expected: live patches alone brought it, as every one does: no reason to worry.
    """

    flag: str
    about: str
    modules: tuple[str, ...]
    is_expected: bool = False


OF_LIVE_PATCHES = "OEK"
"""The flags of a live patch: out of tree, without a signature that the kernel knows, and a live
patch (``kernel/module/main.c: check_modinfo()``, ``module_augment_kernel_taints()``)."""


def taints(root: Path = ROOT) -> tuple[Taint, ...]:
    """The flags in ``/proc/sys/kernel/tainted``, each with the modules that caused it."""
    value = text(root / "proc/sys/kernel/tainted")
    bits = int(value) if value.isdigit() else 0
    by = modules.loaded(root) if bits else ()
    set_bits = [bit for bit in range(bits.bit_length()) if bits >> bit & 1]
    flags = [
        TAINT[bit] if bit < len(TAINT) else (str(bit), "unknown: the kernel is newer than Suture")
        for bit in set_bits
    ]
    had_live_patches = any(flag == modules.LIVEPATCH_TAINT for flag, _ in flags)
    return tuple(
        _taint(flag, about, [module for module in by if flag in module.taints], had_live_patches)
        for flag, about in flags
    )


def _taint(flag: str, about: str, causes: Sequence[LoadedModule], had_live_patches: bool) -> Taint:
    """Tell what live patches bring from what others do.

    A flag outlives its module.  Where no module in memory has O or E, but the kernel has had a live
    patch (K), it was that one.
    """
    others = [module for module in causes if modules.LIVEPATCH_TAINT not in module.taints]
    is_expected = flag in OF_LIVE_PATCHES and had_live_patches and not others
    return Taint(flag, about, tuple(module.name for module in causes), is_expected)


def newer_kernel(root: Path = ROOT) -> str | None:
    """The newest installed release of the running kernel's flavour, if it is newer than the running
    one."""
    now = running.release(root)
    installed = [path.name.removeprefix("vmlinuz-") for path in (root / "boot").glob("vmlinuz-*")]
    newest = max(
        (other for other in installed if _flavour(other) == _flavour(now)),
        key=running.order,
        default=None,
    )
    return newest if newest is not None and running.order(newest) > running.order(now) else None


def _flavour(release: str) -> str:
    match = _FLAVOUR.fullmatch(release)
    return match["flavour"] if match else release
