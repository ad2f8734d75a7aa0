# SPDX-License-Identifier: GPL-2.0-or-later
"""The tasks that a transition waits for, and what each of them is in."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path

from suture.core.running import ROOT, text

STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "in uninterruptible sleep",
    "T": "stopped",
    "t": "being traced",
    "I": "idle",
    "Z": "dead",
    "X": "dead",
    "P": "parked",
}
"""``proc_pid_stat(5)``, field 3."""

PF_KTHREAD = 0x00200000  # include/linux/sched.h
USER_HZ = 100  # include/asm-generic/param.h: what /proc counts in, whatever CONFIG_HZ is

ANY = "*"
"""In place of a function: all of a module's."""

UNREADABLE = "?"
"""In place of a patch state."""

_PREFIX = re.compile(r"^\[<[0-9a-fx]+>\] ")  # fs/proc/base.c: proc_pid_stack(), "[<0>] %pB"
_FRAME = re.compile(r"([^\s+]+)\+0x[0-9a-f]+/0x[0-9a-f]+(?: \[(\w+)\])?")  # %pB


@dataclass(frozen=True, slots=True)
class Task:
    """A task that has not switched yet.

    :ivar pid: of the process, `tid` of the thread in it.
    :ivar state: a letter of `STATES`.
    :ivar cpu_seconds: that it has run in all; a number that grows says that it does run.
    :ivar stack: its kernel stack, innermost first; empty where it is running, or we may not look.
    :ivar holding: the frames of the stack that the transition waits for.
    """

    pid: int
    tid: int
    name: str
    state: str
    kernel_thread: bool
    cpu_seconds: float
    stack: tuple[str, ...]
    holding: tuple[str, ...]

    @property
    def doing(self) -> str:
        """The task's state in words."""
        return STATES.get(self.state, self.state)

    def line(self) -> str:
        """Who it is and where it is, for people."""
        who = f"{self.name} ({'kernel thread' if self.kernel_thread else 'process'} {self.pid}"
        who += f", thread {self.tid})" if self.tid != self.pid else ")"
        return f"{who}, {self.doing}: {self._where()}"

    def _where(self) -> str:
        if self.holding:
            return f"in {', '.join(dict.fromkeys(map(function, self.holding)))}()"
        if self.state in ("T", "t"):
            return "switches when it is continued (SIGCONT)"
        if self.state == "R":
            return "switches at its next system call or interrupt from user space"
        return (
            "in none of the functions; the kernel has not checked it since"
            if self.stack
            else "its stack cannot be read"
        )


@dataclass(frozen=True, slots=True)
class MovedTasks:
    """How far a transition is: tasks that have moved, of all."""

    moved: int
    total: int


def count(states: Iterable[tuple[Path, str]], target: int) -> MovedTasks | None:
    """How many tasks have moved; None where this user may not read the state of all.

    :param states: each task's directory in ``/proc``, and its patch state.
    :param target: the patch state that tasks move to, 0 or 1.
    """
    found = [state for _, state in states]
    if UNREADABLE in found:
        return None
    return MovedTasks(sum(state == str(target) for state in found), len(found))


def behind(
    states: Iterable[tuple[Path, str]], target: int, functions: Set[tuple[str, str]]
) -> tuple[Task, ...]:
    """The tasks whose patch state is not `target`, with their stacks.

    :param states: each task's directory in ``/proc``, and its patch state.
    :param functions: (object, function or `ANY`) that no stack may hold; object is `VMLINUX` or a
        module.
    """
    found = (_task(directory, functions) for directory, state in states if state == str(1 - target))
    return tuple(task for task in found if task is not None)


def function(frame: str) -> str:
    """The function's name in a line of a stack; the line itself where it has none."""
    match = _FRAME.fullmatch(frame)
    return match[1] if match else frame


def is_in(frame: str, functions: Set[tuple[str, str]]) -> bool:
    """Whether a line of a stack is in one of (object, function)."""
    # Without a transition nothing asks, and 'suture status' need not import the patch format.
    from suture.model import VMLINUX

    match = _FRAME.fullmatch(frame)
    return match is not None and not functions.isdisjoint(
        (match[2] or VMLINUX, name) for name in (match[1], ANY)
    )


def directories(root: Path = ROOT) -> Iterator[Path]:
    """Yield ``/proc/PID/task/TID`` of every task."""
    for process in _numbered(root / "proc"):
        yield from _numbered(process / "task")


def _numbered(directory: Path) -> list[Path]:
    """What has a number for its name; nothing where the process has ended in the meantime, which
    glob() cannot bear."""
    try:
        return [directory / name for name in os.listdir(directory) if name[0].isdigit()]
    except OSError:
        return []


def _task(directory: Path, functions: Set[tuple[str, str]]) -> Task | None:
    # proc_pid_stat(5): the name stands in parentheses and may hold some itself.
    before, _, after = text(directory / "stat").rpartition(")")
    fields = after.split()
    if len(fields) < 13:
        return None
    ticks = int(fields[11]) + int(fields[12])
    stack = tuple(_PREFIX.sub("", line) for line in text(directory / "stack").splitlines())
    return Task(
        pid=int(directory.parent.parent.name),
        tid=int(directory.name),
        name=before.partition("(")[2],
        state=fields[0],
        kernel_thread=bool(int(fields[6]) & PF_KTHREAD),
        cpu_seconds=ticks / USER_HZ,
        stack=stack,
        holding=tuple(frame for frame in stack if is_in(frame, functions)),
    )
