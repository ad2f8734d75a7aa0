# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's functions that create threads, that threads sleep in, and that tell more of them."""

from __future__ import annotations

THREAD_CREATORS = frozenset(
    {
        "kthread_create_on_node",
        "kthread_create_on_cpu",
        "kernel_thread",
        "user_mode_thread",
        "create_io_thread",
        "copy_process",
    }
)
"""Functions that start a thread (include/linux/kthread.h, include/linux/sched/task.h); others and
macros, as ``kthread_run()``, call one of these."""

STOP_CHECKS = frozenset(
    {
        "kthread_should_stop",
        "kthread_should_park",
        "kthread_should_stop_or_park",
        "kthread_freezable_should_stop",
    }
)
"""Functions by which a kernel thread checks whether it is to stop (kernel/kthread.c)."""

SLEEP_CALLS = frozenset({"schedule"})

TIMED_SLEEPS = frozenset(
    {
        "schedule_timeout",
        "schedule_timeout_interruptible",
        "schedule_timeout_killable",
        "schedule_timeout_uninterruptible",
        "schedule_timeout_idle",
        "schedule_hrtimeout",
        "schedule_hrtimeout_range",
        "schedule_hrtimeout_range_clock",
        "io_schedule",
        "io_schedule_timeout",
    }
)
"""Functions that sleep until they are woken or a time is over (kernel/time/sleep_timeout.c)."""

SHORT_SLEEPS = frozenset({"msleep", "msleep_interruptible", "usleep_range_state", "get_signal"})
"""Functions that do not sleep long in a kernel thread."""

EVERY_SLEEPER = (
    TIMED_SLEEPS
    | SLEEP_CALLS
    | {
        "__schedule",
        "kthread",
        "ret_from_fork",
        "ret_from_fork_asm",
        "__switch_to_asm",
        "__switch_to",
    }
)
"""Functions on the stack of every kernel thread, or of all that sleep in one way."""

WAIT_BEGINS = frozenset(
    {
        "prepare_to_wait_event",
        "prepare_to_wait",
        "prepare_to_wait_exclusive",
        "prepare_to_swait_event",
    }
)
"""Calls of a macro that waits for one event, in a loop around schedule() (include/linux/wait.h)."""

WAIT_ENDS = frozenset({"finish_wait", "finish_swait"})
"""What such a macro calls behind its loop."""

LASTING = STOP_CHECKS | {"set_freezable"}
"""Functions that only a thread of long life calls."""

ALLOWS_SIGNALS = frozenset({"kernel_sigaction"})
"""``allow_signal()`` (include/linux/signal.h)."""

THREAD_EXITS = frozenset(
    {
        "do_exit",
        "kthread_exit",
        "kthread_complete_and_exit",
        "__module_put_and_kthread_exit",
    }
)
"""Functions by which a thread ends itself (include/linux/kthread.h)."""

NEVER_RETURN = frozenset(
    {"panic", "__stack_chk_fail", "make_task_dead", "rewind_stack_and_make_dead"}
)
"""Other functions that never return (tools/objtool/noreturns.h)."""
