# SPDX-License-Identifier: GPL-2.0-or-later
"""The directories that Suture uses (XDG Base Directory Specification)."""

from __future__ import annotations

import os
from pathlib import Path


def cache() -> Path:
    """Return ``$XDG_CACHE_HOME/suture``; all of it can be deleted at any time, and the next run
    makes it again."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification: a relative path in the variable is invalid and is to be ignored.
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "suture"


STATE = Path("/var/lib/suture")
"""What has to outlive a reboot: the journal, and the live patches that are loaded at boot.

No variable of the environment changes it: what root trusts must not depend on who called."""

LOCK = Path("/run/suture.lock")
"""Held by whoever changes the running kernel; ``/run`` is empty after each boot."""
