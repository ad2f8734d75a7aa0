# SPDX-License-Identifier: GPL-2.0-or-later
"""The main functions of an object's kernel threads, and the functions that these sleep in.

A function counts as a main function

- if a function that calls a creator of threads loads its address, as ``rest_init()`` (init/main.c)
  that of ``kthreadd()`` (kernel/kthread.c); or
- if it has the type of one, ``int (*)(void *)``, nothing calls it, and a thread would stay in it:
  ``nfsd()`` (fs/nfsd/nfssvc.c) reaches ``kthread_create_on_node()`` through ``serv->sv_threadfn``.

Its code says whether a thread stays in it: it asks in a loop whether it is to stop, sleeps in a
loop that is not the wait for one event, or never returns.  Functions that it calls count if they
sleep themselves: ``svc_recv()`` (net/sunrpc/svc_xprt.c).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from suture.verify.call_graph import CallGraph
from suture.verify.linked_code import LinkedCode
from suture.verify.thread_names import (
    ALLOWS_SIGNALS,
    LASTING,
    NEVER_RETURN,
    SHORT_SLEEPS,
    SLEEP_CALLS,
    STOP_CHECKS,
    THREAD_CREATORS,
    THREAD_EXITS,
    TIMED_SLEEPS,
    WAIT_BEGINS,
    WAIT_ENDS,
)

NAME_ARGUMENT = 3
"""The format of the thread's name: ``kthread_create_on_node(threadfn, data, node, namefmt, ...)``,
and in the same place of ``kthread_create_on_cpu()`` (include/linux/kthread.h)."""

OWN_CALLERS = 2
"""A function with more callers than this is not a part of one thread's loop."""


@dataclass(frozen=True, slots=True)
class ThreadMain:
    """A function in which a kernel thread begins.

    :ivar thread: the format of the thread's name, as ``jbd2/%s``; "" if it is not known.
    :ivar stays: why a thread stays in it; "" if its code shows no reason.
    :ivar sleeps: a thread sleeps in a loop of it, which may end.
    """

    name: str
    thread: str = ""
    stays: str = ""
    sleeps: bool = False

    @property
    def label(self) -> str:
        """The thread, for people."""
        # workers are created as kthread_create_on_node(worker_thread, worker, node, "%s", id)
        is_known = self.thread not in ("", "%s")
        return f'the kernel thread "{self.thread}"' if is_known else "a kernel thread"

    @property
    def found(self) -> str:
        """Return why a thread stays in it, in words."""
        return f"is the main function of {self.label}, and {self.stays}"


@dataclass(frozen=True, slots=True)
class Threads:
    """What an object's kernel threads have on their stacks.

    :ivar mains: by address.
    :ivar sleepers: function in which threads sleep, by address -> their main functions.
    :ivar imported: the same of other objects' functions, by name.
    :ivar idle: functions on the stack of an idle task while the core switches it, by address.
    """

    mains: Mapping[int, ThreadMain]
    sleepers: Mapping[int, tuple[ThreadMain, ...]]
    imported: Mapping[str, tuple[ThreadMain, ...]]
    idle: Mapping[int, str]

    def sleeping_in(self, name: str) -> tuple[ThreadMain, ...]:
        """Return the main functions whose threads sleep in another object's function."""
        return self.imported.get(name, ())


ThreadType = Callable[[str], bool | None]
"""Whether a function of a name has the type of a thread's main function; None if not known."""


def find_threads(
    graph: CallGraph, is_thread_type: ThreadType, sleeps_outside: Callable[[str], bool]
) -> Threads:
    """Find the main functions in an object, and the functions in which their threads sleep.

    :param sleeps_outside: whether another object's function sleeps, by name.
    """
    reading = _Reading(graph, sleeps_outside)
    given = _handed_over(graph, is_thread_type)
    mains: dict[int, ThreadMain] = {}
    sleepers: dict[int, list[ThreadMain]] = defaultdict(list)
    for function in sorted({*given, *_uncalled(graph, is_thread_type)}):
        code = graph.decoded(function, reading.ending)
        if not code.is_known:
            continue  # data, or a function of another object
        label, stays = given.get(function, ""), reading.reason(code, function in given)
        parts = {} if stays or function not in given else reading.endless_parts(code)
        for part, why in parts.items():
            mains[part] = ThreadMain(graph.name(part), label, why)
            stays = stays or why
        if function in given or stays:
            sleeps = reading.sleeps_in_loop(code)
            mains[function] = ThreadMain(graph.name(function), label, stays, sleeps)
        if stays:
            for callee in reading.sleepers(code):
                sleepers[callee].append(mains[function])
    here = {at: tuple(found) for at, found in sleepers.items() if graph.code(at)}
    imported = {graph.name(at): tuple(found) for at, found in sleepers.items() if at not in here}
    return Threads(mains, here, imported, {})


def sleeping(graph: CallGraph) -> frozenset[str]:
    """Return the names of the functions that sleep themselves."""
    waits = graph.named(SLEEP_CALLS | TIMED_SLEEPS)
    callers = frozenset().union(*(graph.callers.get(one, ()) for one in waits))
    return frozenset(name for function in callers for name in graph.names.get(function, ()))


def _uncalled(graph: CallGraph, is_thread_type: ThreadType) -> Iterator[int]:
    """Yield the functions of a main function's type that nothing calls directly."""
    for function, names in graph.names.items():
        if function not in graph.callers and any(is_thread_type(name) for name in names):
            yield function


def _handed_over(graph: CallGraph, is_thread_type: ThreadType) -> dict[int, str]:
    """Return the functions that are passed to creators of threads, with the threads' names.

    A function of threads with several names, as ``kthread_worker_fn()``, has none here.
    """
    creators = graph.named(THREAD_CREATORS)
    labels: dict[int, set[str]] = {}
    for caller in sorted(frozenset().union(*(graph.callers.get(one, ()) for one in creators))):
        for function, label in _passed_by(graph, caller, creators, is_thread_type):
            labels.setdefault(function, set()).update(filter(None, [label]))
    return {
        function: next(iter(known)) if len(known) == 1 else "" for function, known in labels.items()
    }


def _passed_by(
    graph: CallGraph, caller: int, creators: frozenset[int], is_thread_type: ThreadType
) -> Iterator[tuple[int, str]]:
    """Yield the functions that a caller of creators may pass to them, with names where known.

    Its code may load the address of a work item's function too, which has another type.  BTF is not
    asked about a function that certainly is the argument: for ``watchdog()`` (kernel/hung_task.c)
    it has the type of a namesake.
    """
    loaded = [one for one, users in graph.users.items() if caller in users]
    yield from ((one, "") for one in loaded if is_thread_type(graph.name(one)) is not False)
    arch, code = graph.shipped.arch, graph.code(caller)
    for branch in arch.decoding.branches(code, caller):
        if branch.target in creators:
            field = branch.field - caller
            first, label = (
                arch.effects.arguments(code, frozenset(), {field: which})[0]
                for which in (0, NAME_ARGUMENT)
            )
            if first is not None and first in loaded:
                yield first, "" if label is None else _text(graph, label)


def _text(graph: CallGraph, address: int) -> str:
    """Return the string at an address, or "" where none can be read."""
    data = (graph.shipped.read(address, 64) or b"").partition(b"\0")[0]
    text = data.decode("ascii", "replace")
    return text if text.isprintable() else ""


class _Reading:
    """Reads the code of main functions."""

    def __init__(self, graph: CallGraph, sleeps_outside: Callable[[str], bool]) -> None:
        self._graph, self._sleeps_outside = graph, sleeps_outside
        named = graph.named
        self.ending = named(NEVER_RETURN | THREAD_EXITS)
        self._asks, self._sleeps = named(STOP_CHECKS), named(SLEEP_CALLS)
        self._waits = self._sleeps | named(TIMED_SLEEPS)
        self._begins, self._ends = named(WAIT_BEGINS), named(WAIT_ENDS)
        self._lasting, self._signals = named(LASTING), named(ALLOWS_SIGNALS)
        self._exits = named(THREAD_EXITS)
        self._short = named(SHORT_SLEEPS)

    def reason(self, code: LinkedCode, is_handed_over: bool) -> str:
        """Return why a thread stays in a main function, or "".

        A thread that only sleeps in functions that it calls stays if something else shows that it
        lasts.  ``reclaimer()`` (fs/lockd/clntlock.c) allows a signal and ends.
        """
        looped = code.looped
        if looped & self._asks:
            return "asks in a loop whether its thread is to stop"
        if any(self._is_endless(loop, self._sleeps) for loop in code.loops):
            return "sleeps in a loop"
        if not code.leaves and not code.calls & self._exits:
            return "never returns"
        callees = self._graph.callees
        if any(callees.get(callee, frozenset()) & self._asks for callee in looped):
            return "asks in a loop, in a function that it calls, whether its thread is to stop"
        lasting = self._lasting if is_handed_over else self._lasting | self._signals
        if code.calls & lasting and self.sleeps_in_loop(code):
            return "sleeps in a loop, in functions that it calls"
        return ""

    def endless_parts(self, code: LinkedCode) -> dict[int, str]:
        """Return the functions that only this one calls, and in which a thread stays, with why.

        Example: ``devtmpfsd()`` (drivers/base/devtmpfs.c) calls ``devtmpfs_work_loop()``.
        """
        graph, found = self._graph, {}
        for callee in sorted(code.calls - self.ending - self._asks - self._waits):
            if len(graph.callers.get(callee, ())) == 1 and graph.code(callee):
                part = graph.decoded(callee, self.ending)
                if part.looped & self._asks or not part.leaves:
                    found[callee] = self.reason(part, is_handed_over=True)
        return found

    def sleeps_in_loop(self, code: LinkedCode) -> bool:
        """Whether it sleeps in a loop, or calls a function there that sleeps."""
        waits = any(self._is_endless(loop, self._waits) for loop in code.loops)
        return waits or any(True for _ in self.sleepers(code))

    def sleepers(self, code: LinkedCode) -> Iterator[int]:
        """Yield the functions in which a thread sleeps that it calls in loops.

        None counts if it sleeps in the loop itself: what it calls then is its work, as
        ``jbd2_journal_commit_transaction()`` is that of ``kjournald2()`` (fs/jbd2).  A function
        that these call counts if hardly anything else calls it.
        """
        graph = self._graph
        if code.looped & self._waits:
            return
        for callee in sorted(code.looped - self._short - self._waits):
            if self._sleeps_itself(callee):
                yield callee
            for inner in sorted(graph.callees.get(callee, ())):
                own = len(graph.callers.get(inner, ())) <= OWN_CALLERS and graph.code(inner)
                if own and inner not in self._short | self._waits and self._sleeps_itself(inner):
                    yield inner

    def _sleeps_itself(self, function: int) -> bool:
        graph = self._graph
        if graph.code(function):
            return bool(graph.callees.get(function, frozenset()) & self._waits)
        return self._sleeps_outside(graph.name(function))

    def _is_endless(self, loop: frozenset[int], sleeps: frozenset[int]) -> bool:
        """Whether a loop sleeps, and goes on after the wait for one event."""
        if not loop & sleeps:
            return False
        return not loop & self._begins or bool(loop & self._ends)
