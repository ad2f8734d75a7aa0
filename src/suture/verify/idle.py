# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions on the stack of idle tasks, which a live patch cannot replace.

The core does not check the stacks of idle tasks as it does those of others:

- An idle task switches itself in ``do_idle()`` (kernel/sched/idle.c): ``klp_update_patch_state()``
  is called with ``do_idle()`` and all its callers on the stack.
- The idle task of a processor that is offline is switched without any check
  (kernel/livepatch/transition.c: klp_try_complete_transition()); it is halted below
  ``arch_cpu_idle_dead()``.

After unloading, such a task would go on in memory that is free.
"""

from __future__ import annotations

from collections.abc import Mapping

from suture.verify.call_graph import CallGraph

LOOP = "do_idle"

SLEEPS = frozenset(
    {
        "cpuidle_idle_call",
        "call_cpuidle",
        "cpuidle_enter",
        "cpuidle_enter_state",
        "cpuidle_enter_s2idle",
        "default_idle_call",
        "default_idle",
        "arch_cpu_idle",
        "mwait_idle",
        "amd_e400_idle",
        "acpi_idle_enter",
        "intel_idle",
    }
)
"""Functions in which the processor waits for work (drivers/cpuidle/cpuidle.c,
arch/x86/kernel/process.c)."""

OFFLINE = frozenset(
    {
        "arch_cpu_idle_dead",
        "play_dead",
        "native_play_dead",
        "hlt_play_dead",
        "mwait_play_dead",
        "mwait_play_dead_cpuid_hint",
        "acpi_idle_play_dead",
        "acpi_processor_ffh_play_dead",
        "cpuidle_play_dead",
        "intel_idle_play_dead",
    }
)
"""Functions in which a processor is halted that is offline (arch/x86/kernel/smpboot.c)."""


def idle_functions(graph: CallGraph) -> Mapping[int, str]:
    """Return the functions on the stacks of idle tasks, by address, with why."""
    found = dict.fromkeys(graph.named(SLEEPS), "each idle processor waits in it")
    found |= dict.fromkeys(graph.named(OFFLINE), "each processor that is offline halts in it")
    loop = graph.named({LOOP})
    waiting = list(loop)
    while waiting:
        function = waiting.pop()
        if function not in found:
            found[function] = "it is on the stack of each idle processor's task"
            waiting += graph.callers.get(function, ())
    return found
