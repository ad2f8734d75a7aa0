# SPDX-License-Identifier: GPL-2.0-or-later
"""The demonstration's source diff, made from the target's own source: every version has other
lines around the one that it changes."""

from __future__ import annotations

import difflib
from pathlib import Path

from suture.errors import DEMO_TEXT_MISSING, Refusal
from suture.host.files import read_bytes

FILE = "fs/proc/meminfo.c"

BEFORE = '"VmallocChunk:'
"""Printed since 2005, and as 0 since 4.4 (``fs/proc/meminfo.c: meminfo_proc_show()``): programs
look for the line, so it stays."""

AFTER = BEFORE.upper()
"""Of the same length, as the columns show."""


def diff(tree: Path) -> str:
    """Return the diff for a kernel's source.

    :raises Refusal: ``demo-text-missing``, ``file-unreadable``
    """
    source = read_bytes(tree / FILE).decode()
    lines = difflib.unified_diff(
        source.splitlines(keepends=True),
        changed(source).splitlines(keepends=True),
        f"a/{FILE}",
        f"b/{FILE}",
    )
    return "".join(lines)


def changed(source: str) -> str:
    """Return the source with the other text.

    :raises Refusal: ``demo-text-missing``
    """
    count = source.count(BEFORE)
    if count != 1:
        raise Refusal(DEMO_TEXT_MISSING, FILE, f"it has the text {BEFORE} {count} times")
    return source.replace(BEFORE, AFTER)
