# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel's lists say of probes: which are armed, and how often each was hit."""

from __future__ import annotations

import re

KPROBES_LIST = "sys/kernel/debug/kprobes/list"
KPROBE_PROFILE = "sys/kernel/tracing/kprobe_profile"

DEAD = (
    "[GONE]",
    "[DISABLED]",
)  # kernel/kprobes.c: report_probe(), which writes flags without a blank between

_PROFILED = re.compile(r"\s*(\S+)\s+([0-9]{1,20})\s+([0-9]{1,20})\s*")


def armed_functions(listing: str, module: str) -> set[str]:
    """Return the functions of `module` in ``kprobes/list``.

    A line reads ``ADDRESS k FUNCTION+0x0  MODULE [FTRACE]``.
    """
    alive = [
        line.split() for line in listing.splitlines() if not any(flag in line for flag in DEAD)
    ]
    return {row[2].partition("+")[0] for row in alive if len(row) > 3 and row[3] == module}


def profile(text: str) -> dict[str, int]:
    """Return event -> hits from ``kprobe_profile``, whose lines read ``EVENT HITS MISSES``.

    A miss is a call while another probe was being handled on that processor: the function ran.
    """
    rows = (_PROFILED.fullmatch(line) for line in text.splitlines())
    return {row[1]: int(row[2]) + int(row[3]) for row in rows if row}
