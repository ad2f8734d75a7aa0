# SPDX-License-Identifier: GPL-2.0-or-later
"""The order of packages' versions, for any package tool.

dpkg and rpm differ in rare cases only, and agree on the versions of kernels: numbers count by
value, ``~`` sorts before the end (``6.13~rc7`` before ``6.13``), and all else after it (``6.1.9-1``
before ``6.1.9-1+b1``).
"""

from __future__ import annotations

import re

END = (0, 0, "")

VersionKey = tuple[int, tuple[tuple[int, int, str], ...]]


def key(version: str) -> VersionKey:
    """Return a key that sorts old versions before new."""
    epoch, _, rest = version.rpartition(":")
    words = re.findall(r"\d+|~|[^\d~]+", rest)
    return int(epoch) if epoch.isdigit() else 0, (*map(_word, words), END)


def _word(word: str) -> tuple[int, int, str]:
    if word == "~":
        return -1, 0, ""
    return (2, int(word), "") if word.isdigit() else (1, 0, word)
