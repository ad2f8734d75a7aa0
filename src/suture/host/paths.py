# SPDX-License-Identifier: GPL-2.0-or-later
"""The directories that Suture uses (XDG Base Directory Specification), and a cache that several
users share where an administrator wants one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

SHARED_VARIABLE = "SUTURE_CACHE"
"""The environment's way to name a shared cache."""

SHARED_LINK = Path("/etc/suture/cache")
"""The administrator's way: a directory, or a symbolic link to one.  `XDG_CACHE_HOME` overrides it,
as a user's wish does a host's default."""


def cache() -> Path:
    """Return the directory in which Suture keeps what it can make again: the shared cache where
    this user may write to it, or else `own_cache`.

    All of it can be deleted at any time, and the next run makes it again.
    """
    shared = shared_cache()
    return own_cache() if shared is None or not _is_writable(shared) else shared


def caches() -> tuple[Path, ...]:
    """Return the caches in which kernels and compilers are looked for: a shared one that this user
    may only read comes after the user's own."""
    shared, first = shared_cache(), cache()
    return (first,) if shared in (None, first) else (first, shared)


def own_cache() -> Path:
    """Return ``$XDG_CACHE_HOME/suture``, by default ``~/.cache/suture``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification: a relative path in the variable is invalid and is to be ignored.
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "suture"


def shared_cache() -> Path | None:
    """Return the cache that this host's users share; None where there is none."""
    named = os.environ.get(SHARED_VARIABLE, "")
    if named.startswith("/"):
        return Path(named)
    if os.environ.get("XDG_CACHE_HOME", "").startswith("/") or not SHARED_LINK.is_dir():
        return None
    return SHARED_LINK.resolve()


def share_with_group() -> None:
    """Let what this process makes in a shared cache be changed by the group that it belongs to.

    The bits of the directory say that it is meant so: ``drwxrws---`` of a group of builders.
    """
    shared = shared_cache()
    if shared is not None and shared == cache() and _is_for_group(shared):
        os.umask(os.umask(0o022) & ~stat.S_IWGRP)


def _is_for_group(directory: Path) -> bool:
    try:
        return bool(directory.stat().st_mode & stat.S_IWGRP)
    except OSError:
        return False


def _is_writable(directory: Path) -> bool:
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    return os.access(existing, os.W_OK | os.X_OK)


STATE = Path("/var/lib/suture")
"""What has to outlive a reboot: the journal, and the live patches that are loaded at boot.

No variable of the environment changes it: what root trusts must not depend on who called."""

LOCK = Path("/run/suture.lock")
"""Held by whoever changes the running kernel; ``/run`` is empty after each boot."""
