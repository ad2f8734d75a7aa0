# SPDX-License-Identifier: GPL-2.0-or-later
"""Which lines of a kernel log are complaints.  The lines are those that kernels have printed."""

from __future__ import annotations

import pytest

from suture.arch.x86_64.virtual_machine import VIRTUAL_MACHINE
from suture.lab.complaints import Complaint, find

WARNING = """\
[    5.100000] livepatch: enabling patch 'p'
[    5.181372] ------------[ cut here ]------------
[    5.181450] WARNING: CPU: 0 PID: 71 at /lab/p.c:12 p_show+0x9/0x20 [p]
[    5.181533] Modules linked in: p(OE) virtio_console
[    5.181700] Call Trace:
[    5.181733]  <TASK>
[    5.181766]  seq_read_iter+0x124/0x4b0
[    5.181800]  </TASK>
[    5.181833] ---[ end trace 0000000000000000 ]---
[    5.190000] livepatch: 'p': patching complete
"""


def complaints(log: str) -> tuple[Complaint, ...]:
    return find(log, VIRTUAL_MACHINE.complaints)


def test_a_warning_with_its_stack_is_one_complaint() -> None:
    (complaint,) = complaints(WARNING)
    assert complaint.what == "WARNING"
    assert complaint.lines == tuple(WARNING.splitlines()[1:-1])


def test_two_reports_are_two_complaints() -> None:
    assert [complaint.what for complaint in complaints(WARNING + WARNING)] == ["WARNING", "WARNING"]


def test_a_report_without_an_end_does_not_swallow_the_next() -> None:
    cut = "\n".join(WARNING.splitlines()[:4]) + "\n"
    assert [complaint.lines[0] for complaint in complaints(cut + WARNING)] == [
        WARNING.splitlines()[1]
    ] * 2


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("BUG: kernel NULL pointer dereference, address: 0000000000000000", "BUG"),
        ("BUG: unable to handle page fault for address: ffffffffc0579030", "BUG"),
        ("BUG: Bad page state in process sh  pfn:1c2e", "BUG"),
        ("BUG: scheduling while atomic: sh/71/0x00000002", "BUG"),
        ("kernel BUG at fs/inode.c:612!", "BUG"),
        ("watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [sh:71]", "BUG"),
        ("Oops: 0000 [#1] PREEMPT SMP NOPTI", "Oops"),
        (
            "Oops: general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1]",
            "Oops",
        ),
        (
            "general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1]",
            "general protection",
        ),
        (
            "traps: cat[90] general protection fault ip:461189 sp:7ffe37815718 error:0",
            "general protection",
        ),
        ("invalid opcode: 0000 [#1] PREEMPT SMP NOPTI", "trap"),
        ("Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b", "panic"),
        ("INFO: task cat:97 blocked for more than 30 seconds.", "hung task"),
        ("rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", "rcu stall"),
        ("rcu: INFO: rcu_preempt self-detected stall on CPU", "rcu stall"),
        (
            "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-... } 21 jiffies s: 89",
            "rcu stall",
        ),
        ("rcu: rcu_preempt kthread starved for 5252 jiffies! g1129 f0x0", "rcu stall"),
        ("NMI watchdog: Watchdog detected hard LOCKUP on cpu 0", "lockup"),
        ("UBSAN: array-index-out-of-bounds in fs/inode.c:12:3", "UBSAN"),
        ("Call Trace:", "call trace"),
    ],
)
@pytest.mark.parametrize(
    "stamp", ["", "[    4.794915] ", "[12345.000001][   T71] ", "<4>[    4.794915] "]
)
def test_complaints_are_found(line: str, what: str, stamp: str) -> None:
    (complaint,) = complaints(f"[    1.0] before\n{stamp}{line}\n")
    assert (complaint.what, complaint.lines) == (what, (stamp + line,))


@pytest.mark.parametrize(
    "line",
    [
        "livepatch_sample: loading out-of-tree module taints kernel.",
        "livepatch_sample: tainting kernel with TAINT_LIVEPATCH",
        "livepatch_sample: module verification failed: signature and/or required key missing - tainting kernel",
        "Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on, data leaks possible!",
        "RETBleed: WARNING: Spectre v2 mitigation leaves CPU vulnerable to RETBleed attacks, data leaks possible!",
        "ACPI BIOS Warning (bug): Incorrect checksum in table [DSDT] - 0x12, should be 0x34",
        "[Firmware Bug]: TSC doesn't count with P0 frequency!",
        "debug: unmapping init [mem 0xffff888000000000-0xffff888000ffffff]",
        "rcu: Hierarchical RCU implementation.",
        "rcu: RCU calculated value of scheduler-enlistment delay is 25 jiffies.",
        'Unstable clock detected, switching default tracing clock to "global"',
        "hung_task: warnings on",
        "NMI watchdog: Perf NMI watchdog permanently disabled",
        "trace_kprobe: This probe might be able to register after target module is loaded. Continue.",
        "loop: module loaded",
        "DEBUGGING OOPSES",
    ],
)
def test_harmless_lines_are_no_complaints(line: str) -> None:
    assert complaints(f"[    4.794915] {line}\n") == ()


def test_a_lone_line_does_not_take_what_follows() -> None:
    stall, after = "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", "loop: module loaded"
    assert [complaint.lines for complaint in complaints(f"{stall}\n{after}\n")] == [(stall,)]


def test_all_that_follows_a_panic_belongs_to_it() -> None:
    log = [
        "Kernel panic - not syncing: sysrq triggered crash",
        "CPU: 0 PID: 1 Comm: sh",
        "Call Trace:",
        " panic+0x1",
    ]
    assert [complaint.lines for complaint in complaints("\n".join(log))] == [tuple(log)]


def test_an_empty_log_has_no_complaints() -> None:
    assert complaints("") == ()
