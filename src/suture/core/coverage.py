# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the new code of live patches runs: for a while, calls of their modules' functions are
counted.

Each function gets a kprobe event (``Documentation/trace/kprobetrace.rst``), on the new code in the
module: what redirects the old function is unaffected.  The events write to a trace instance of
their own, whose buffer is off (``Documentation/trace/ftrace.rst``, "Instances"), so whoever traces
on this host sees nothing of them.

The instance is made first and removed last.  Where a run is killed, its instance stays, and the
next run removes it with its events.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from suture.core import probes, redirections
from suture.core.cores import current
from suture.core.patches import LoadedPatch
from suture.core.running import ROOT, text
from suture.core.tasks import MovedTasks
from suture.errors import TRACING_UNAVAILABLE, Refusal

TRACING = "sys/kernel/tracing"
MINE = "suture_"
"""Begins the names of our instances and groups of events; the process number follows."""


@dataclass(frozen=True, slots=True)
class CountedFunction:
    """A function of a live patch's module.

    :ivar replaces: the objects whose function of this name the live patch replaces; none for a
        function that it adds, and where its author gave the new code another name.
    :ivar calls: None where the kernel lets nobody count them: several functions of the module have
        the name, or it refused the probe.
    """

    name: str
    replaces: tuple[str, ...]
    calls: int | None


@dataclass(frozen=True, slots=True)
class PatchCoverage:
    """How much of the host runs one live patch.

    :ivar tasks: those that run its code.
    :ivar functions: those that ftrace knows; the compiler may have inlined others.
    """

    patch: str
    tasks: MovedTasks
    functions: tuple[CountedFunction, ...]


def coverage(
    patches: Sequence[LoadedPatch], seconds: float, root: Path = ROOT
) -> tuple[PatchCoverage, ...]:
    """Count the calls of the new code of live patches.

    :param seconds: how long.
    :raises Refusal: ``tracing-unavailable``
    """
    _check(root)
    try:
        return _coverage(patches, seconds, root)
    except OSError as error:
        where, found = error.filename or f"/{TRACING}", error.strerror or str(error)
        raise Refusal(TRACING_UNAVAILABLE, str(where), found) from error


def _coverage(
    patches: Sequence[LoadedPatch], seconds: float, root: Path
) -> tuple[PatchCoverage, ...]:
    tracing = root / TRACING
    _remove_left(tracing)
    names = {patch.name: _functions(tracing, patch.name) for patch in patches}
    single = [(module, name) for module, listed in names.items() for name in _unique(listed)]
    with _counting(tracing, single) as events:
        time.sleep(seconds)
        hits = probes.profile(text(root / probes.KPROBE_PROFILE))
    calls = {function: hits.get(event) for function, event in events.items()}
    return tuple(
        PatchCoverage(
            patch.name, _tasks(patch, root), tuple(_counted(patch, names[patch.name], calls))
        )
        for patch in patches
    )


def _unique(names: Sequence[str]) -> list[str]:
    return [name for name, number in Counter(names).items() if number == 1]


def _tasks(patch: LoadedPatch, root: Path) -> MovedTasks:
    """Count the tasks that run the code of a live patch; without a transition, all or none do."""
    states = [state for _, state in current(root).task_states()]
    if patch.transition:
        return MovedTasks(states.count("1"), len(states))
    return MovedTasks(len(states) if patch.enabled else 0, len(states))


def _counted(
    patch: LoadedPatch, names: Sequence[str], calls: Mapping[tuple[str, str], int | None]
) -> Iterator[CountedFunction]:
    for name in dict.fromkeys(names):
        replaces = tuple(sorted(objname for objname, old in patch.functions if old == name))
        yield CountedFunction(name, replaces, calls.get((patch.name, name)))


def _check(root: Path) -> None:
    unseen = redirections.unreadable(root)
    events = root / TRACING / "kprobe_events"
    if not unseen and not events.exists():
        unseen = f"/{TRACING} has no kprobe_events (CONFIG_KPROBE_EVENTS, or tracefs is elsewhere)"
    if not unseen and not os.access(events, os.W_OK):
        unseen = f"/{TRACING}/kprobe_events cannot be written"
    if unseen:
        raise Refusal(TRACING_UNAVAILABLE, f"/{TRACING}", unseen)


def _functions(tracing: Path, module: str) -> tuple[str, ...]:
    """Return the names of a module's functions that ftrace can stop at, in order of addresses.

    A line of ``available_filter_functions`` reads ``NAME [MODULE]``.
    """
    lines = text(tracing / "available_filter_functions").splitlines()
    ours = f" [{module}]"
    return tuple(line.removesuffix(ours) for line in lines if line.endswith(ours))


@contextmanager
def _counting(
    tracing: Path, functions: Sequence[tuple[str, str]]
) -> Iterator[dict[tuple[str, str], str]]:
    """Count calls of functions during the block, which gets (module, function) -> event.

    :param functions: (module, function).
    """
    mine = f"{MINE}{os.getpid()}"
    instance = tracing / "instances" / mine
    instance.mkdir()
    try:
        _write(instance / "tracing_on", "0")
        events: dict[tuple[str, str], str] = {}
        for number, (module, name) in enumerate(functions):
            event = f"{mine}_{number}"
            with suppress(OSError):  # such as a function that no probe may be in
                _append(tracing / "kprobe_events", f"p:{mine}/{event} {module}:{name}")
                _write(instance / "events" / mine / event / "enable", "1")
                events[module, name] = event
        yield events
    finally:
        _remove(tracing, instance)


def _remove_left(tracing: Path) -> None:
    """Remove what a killed run left."""
    for instance in (tracing / "instances").glob(f"{MINE}*"):
        pid = instance.name.removeprefix(MINE)
        if pid.isdigit() and not Path("/proc", pid).exists():
            _remove(tracing, instance)


def _remove(tracing: Path, instance: Path) -> None:
    """Remove an instance, and the events of its name."""
    group = instance / "events" / instance.name
    if group.exists():
        _write(group / "enable", "0")
    for line in text(tracing / "kprobe_events").splitlines():
        event = line.partition(" ")[0].partition(":")[2]
        if event.startswith(f"{instance.name}/"):
            _append(tracing / "kprobe_events", f"-:{event}")
    instance.rmdir()


def _write(path: Path, value: str) -> None:
    """Write to a file of tracefs, which wants one write(2)."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def _append(path: Path, line: str) -> None:
    """Add a line to a file of tracefs; opened without O_APPEND, ``kprobe_events`` loses all others
    (kernel/trace/trace_kprobe.c: probes_open())."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)
