# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs side by side, each in a process of its own.

A build keeps a core busy in Python, beside the compilers, and holds a kernel's symbols in memory.
So builds for several kernels run in processes; what they report comes back through a pipe, with the
job's name before it.  When the caller is interrupted, so are they.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from suture.host.failures import ENDING
from suture.host.files import signals_held
from suture.host.progress import note, reporter

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_FORK = multiprocessing.get_context("fork")
"""The children have what the caller has read already, such as standard input."""

_NOTE, _RESULT = "note", "result"


@dataclass(frozen=True, slots=True)
class Job(Generic[T_co]):
    """A job.

    :ivar name: stands before what it reports.
    :ivar run: does it; its result must be picklable, and it raises nothing.
    """

    name: str
    run: Callable[[], T_co]


@dataclass(slots=True)
class _Running(Generic[T]):
    index: int
    name: str
    process: BaseProcess
    results: list[T] = field(default_factory=list)


def side_by_side(jobs: Sequence[Job[T]], most: int) -> Iterator[tuple[int, T | None]]:
    """Run jobs, and yield the index and the result of each as it ends.

    A result is None where the process ended without one: the kernel's OOM killer, a signal.

    :param most: this many at a time.
    """
    waiting = list(enumerate(jobs))[::-1]
    running: dict[Connection, _Running[T]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < most:
                index, job = waiting.pop()
                _start(index, job, running)
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                one = running[ready]
                if _received(ready, one):
                    continue
                one.process.join()
                ready.close()
                del running[ready]
                yield one.index, one.results[0] if one.results else None
    finally:
        for one in running.values():
            one.process.terminate()
        for one in running.values():
            one.process.join()


def workers(memory: int) -> int:
    """Return how many jobs of this size fit beside each other.

    :param memory: bytes that one needs.
    """
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(len(os.sched_getaffinity(0)), free // memory))


def _start(index: int, job: Job[T], running: dict[Connection, _Running[T]]) -> None:
    """Start a job, and note it as running; no signal comes in between."""
    ours, theirs = _FORK.Pipe(duplex=False)
    handlers = {number: signal.getsignal(number) for number in ENDING}
    process = _FORK.Process(target=_child, args=(job, theirs, handlers), daemon=True)
    with signals_held():
        process.start()
        running[ours] = _Running(index, job.name, process)
    theirs.close()


def _received(ready: Connection, one: _Running[T]) -> bool:
    """Take a message of a job; False when there are no more."""
    try:
        kind, value = ready.recv()
    except EOFError:
        return False
    if kind == _NOTE:
        note(f"{one.name}: {value}")
    else:
        one.results.append(value)
    return True


def _child(job: Job[T], connection: Connection, handlers: Mapping[signal.Signals, Any]) -> None:
    """Run a job.

    :param handlers: of signals, which the parent held while it started this process.
    """
    for number, handler in handlers.items():
        signal.signal(number, handler)
    reporter.set(_Relayed(connection))
    # Interrupted: whoever interrupted it waits for no result.
    with suppress(KeyboardInterrupt, BrokenPipeError):
        connection.send((_RESULT, job.run()))
    connection.close()


class _Relayed:
    """Sends notes and finished steps to the caller."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._steps: list[str] = []

    def begin(self, what: str, detail: str) -> None:
        """Remember the step's name."""
        self._steps.append(f"{what}: {detail}" if detail else what)

    def end(self, what: str, seconds: float, *, failed: bool) -> None:
        """Send how long a step took; steps inside others are not sent."""
        name = self._steps.pop() if self._steps else what
        if not self._steps:
            self.note(f"{name} … {'failed after ' if failed else ''}{seconds:.1f} s")

    def advance(self, done: int, total: int) -> None:
        """Send nothing."""

    def note(self, text: str) -> None:
        """Send a fact."""
        self._connection.send((_NOTE, text))
