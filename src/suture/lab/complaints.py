# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's complaints: reports in a kernel log that fail a run.

Each rule names the kernel source that prints the line.  Rules match lines as the console shows
them, without time stamp, and in the kernel's own capitals, so that ``[Firmware Bug]`` or
``warning:`` is no complaint.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

REPORT_LINES = 120
"""The longest report that is looked through for its end; a dump of two stacks is half of that."""

LINE_LENGTH = 2048
"""Characters that are looked at; the kernel's own lines are shorter (kernel/printk/printk.c:
LOG_LINE_MAX)."""

PANIC = "panic"

Rules = Sequence[tuple[str, re.Pattern[str]]]

RULES: Rules = tuple(
    (what, re.compile(pattern))
    for what, pattern in (
        ("WARNING", r"^WARNING: "),  # kernel/panic.c: __warn(); lockdep and RCU say it the same way
        # lib/bug.c "kernel BUG at", arch/x86/mm/fault.c "BUG: unable to", mm/ "BUG: Bad page",
        # "watchdog: BUG: soft"
        ("BUG", r"^BUG: |^BUG\b|\bkernel BUG at |\bBUG: (soft|workqueue|KASAN|KFENCE)|^\w+: BUG: "),
        ("Oops", r"^Oops\b"),  # arch/x86/kernel/dumpstack.c: __die_header()
        (PANIC, r"^Kernel panic - not syncing"),  # kernel/panic.c: panic()
        (
            "hung task",
            r"\bblocked for more than \d+ seconds",
        ),  # kernel/hung_task.c: check_hung_task()
        (
            "rcu stall",
            r"^rcu: .*\b(detected (expedited )?stalls?|self-detected stall|kthread starved)\b",
        ),
        (
            "lockup",
            r"\bdetected hard LOCKUP\b|\bsoft lockup\b",
        ),  # kernel/watchdog.c, kernel/watchdog_hld.c
        ("UBSAN", r"^UBSAN: "),  # lib/ubsan.c
        (
            "module layout",
            r"disagrees about (version of symbol|.* struct module)|: Unknown symbol ",
        ),
        ("call trace", r"^Call Trace:"),  # arch/x86/kernel/dumpstack.c: show_trace_log_lvl()
    )
)

_STAMP = re.compile(r"^(?:<\d+>)?\[\s*\d+\.\d+\](?:\[\s*[TC]\d+\])? ?")
_BEGIN = re.compile(r"-{12}\[ cut here \]-{12}")  # include/asm-generic/bug.h: CUT_HERE
_END = re.compile(r"---\[ end (trace|Kernel panic)")  # kernel/panic.c: print_oops_end_marker()


@dataclass(frozen=True, slots=True)
class Complaint:
    """One report of the kernel.

    :ivar what: its kind.
    :ivar lines: its lines in the log.
    :ivar line: the number of the first of them in the log, from 0 on.
    """

    what: str
    lines: tuple[str, ...]
    line: int = field(default=0, compare=False)


def find(log: str, own: Sequence[tuple[str, str]] = ()) -> tuple[Complaint, ...]:
    """Return the complaints in a kernel log, in order; a report with its registers and stack is one
    complaint.

    :param own: additional rules of the architecture
        (`suture.arch.virtual_machine.VirtualMachine`).
    """
    rules = (*RULES, *((what, re.compile(pattern)) for what, pattern in own))
    lines = log.splitlines()
    found = []
    at = 0
    while at < len(lines):
        what = _match(lines[at], rules)
        if what is None:
            at += 1
            continue
        begin = at - 1 if at and _BEGIN.search(lines[at - 1]) else at
        # A panic that restarts the machine has no end mark: all that follows belongs to it.
        at = len(lines) if what == PANIC else _end_of_report(lines, at, rules)
        found.append(Complaint(what, tuple(lines[begin:at]), begin))
    return tuple(found)


def _match(line: str, rules: Rules) -> str | None:
    text = _STAMP.sub("", line[:LINE_LENGTH])
    return next((what for what, pattern in rules if pattern.search(text)), None)


def _end_of_report(lines: Sequence[str], first: int, rules: Rules) -> int:
    """Return the index after the report's end marker; without one, after the last of the directly
    following complaints."""
    for at in range(first, min(first + REPORT_LINES, len(lines))):
        if _END.search(lines[at]):
            return at + 1
        if at > first and _BEGIN.search(lines[at]):
            break
    end = first + 1
    while end < len(lines) and _match(lines[end], rules) is not None:
        end += 1
    return end
