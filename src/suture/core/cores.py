# SPDX-License-Identifier: GPL-2.0-or-later
"""The cores that Suture can speak to; `suture.core.patches` says how to add one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from suture.core.livepatch import LivepatchCore
from suture.core.patches import Core
from suture.core.running import ROOT

CORES: tuple[Callable[[Path], Core], ...] = (LivepatchCore,)


def current(root: Path = ROOT) -> Core:
    """The core of the running kernel; where it has none, the first, which then knows no patch."""
    known = [core(root) for core in CORES]
    return next((core for core in known if core.is_available), known[0])
