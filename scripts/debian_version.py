# SPDX-License-Identifier: GPL-2.0-or-later
"""Versions of Python packages (PEP 440) as versions of Debian packages (deb-version(7)), in the
same order."""

from __future__ import annotations

from packaging.version import Version


def debian_version(version: str) -> str:
    """Return the version for Debian: ``1.0rc1`` is ``1.0~rc1``, ``1.0.post1`` is ``1.0+post1``.

    A tilde sorts before everything, also before the end; a plus sign sorts before a dot.  Of
    ``1.0.dev1`` and ``1.0a1``, the first is the older one, so that it gets two tildes.

    :raises ValueError: for a local version (``1.0+mine``), which has no place in that order.
    """
    parsed = Version(version)
    if parsed.local:
        raise ValueError(f"{version} is a local version")
    words = [f"{parsed.epoch}:" if parsed.epoch else "", ".".join(map(str, parsed.release))]
    if parsed.pre:
        words.append("~" + "".join(map(str, parsed.pre)))
    if parsed.post is not None:
        words.append(f"+post{parsed.post}")
    if parsed.dev is not None:
        words.append(f"{'~' if parsed.pre or parsed.post is not None else '~~'}dev{parsed.dev}")
    return "".join(words)
