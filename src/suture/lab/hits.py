# SPDX-License-Identifier: GPL-2.0-or-later
"""Counts of calls to a module's functions, from the first call on.

Each function gets a kprobe event (the target's ``Documentation/trace/kprobetrace.rst``), because:

- A live patch module enables itself in its init function, so probes that are set after it is loaded
  miss the first calls.  An event named ``MODULE:FUNCTION`` may be defined before the module is
  loaded; the kernel arms it when the module is loaded (``kernel/trace/trace_kprobe.c:
  trace_kprobe_module_callback()``), before the module's init function.
- The probe is on the new code, in the module, at its fentry call.  The ftrace handler of livepatch
  is on the old function and is unaffected; the probe does not change the return address, so stacks
  stay reliable for the transition.  The function profiler would count too, but distribution kernels
  lack it.
- Hits are counted whether or not the event is written to the trace buffer, which is switched off.

A function that cannot be probed (``noinstr``, no kallsyms entry, several of one name) is reported
as not counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from suture.core import probes
from suture.lab.machine import Machine

TRACING = "/sys/kernel/tracing"
GROUP = "suture"


def arm(machine: Machine, module: str, functions: Sequence[str]) -> None:
    """Define a probe on each of `functions` of `module`, which is not loaded yet."""
    define = [
        f"echo 'p:{GROUP}/f{n} {module}:{name}' >>kprobe_events" for n, name in enumerate(functions)
    ]
    machine.run(
        "\n".join(
            [f"cd {TRACING}", "echo 0 >tracing_on", *define, f"echo 1 >events/{GROUP}/enable"]
        )
    )


def read(machine: Machine, module: str, functions: Sequence[str]) -> list[int | None]:
    """Return how often each of `functions` has run; None if the kernel has not armed its probe.

    :param functions: as given to `arm`.
    :param module: still loaded.
    """
    armed = probes.armed_functions(machine.run(f"cat /{probes.KPROBES_LIST}").text, module)
    counted = probes.profile(machine.run(f"cat /{probes.KPROBE_PROFILE}").text)
    unique = {name for name in functions if functions.count(name) == 1}
    return [
        counted.get(f"f{n}") if name in armed & unique else None for n, name in enumerate(functions)
    ]


def disarm(machine: Machine) -> None:
    """Remove all probes."""
    machine.run(f"cd {TRACING}; echo 0 >events/{GROUP}/enable; echo >kprobe_events")
