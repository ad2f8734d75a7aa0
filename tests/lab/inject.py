# SPDX-License-Identifier: GPL-2.0-or-later
"""Kill ``suture load`` or ``suture unload`` at one system call after the other; see what the next commands make of it.

Runs in the guest: ``python3 inject.py load|unload all|changes|few MODULE.ko [BEFORE.ko]``, the last of which is a live
patch that is loaded before and that this one replaces.  The command runs in a child that has
all of Python's modules imported already, under ptrace(2); at the entry of the chosen system call it gets SIGKILL, so
that the call does not happen.  What is true is then read from sysfs, without Suture, and compared with what
``suture status`` says; ``suture recover`` has to end in one of the two clean states.  One line of JSON for each point::

    {"point": 12, "call": "finit_module*", "after": "gone", "said": "gone", "verdict": 4, "recovered": "gone", ...}

``changes`` takes the calls that can change something, and the one after each; ``few`` of those only the ones that
change the kernel, or make a record of the journal durable; ``all`` takes every call.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

from suture.cli.app import main

Row = dict[str, object]

PTRACE_TRACEME, PTRACE_GETREGS, PTRACE_SYSCALL, PTRACE_SETOPTIONS = 0, 12, 24, 0x4200
TRACESYSGOOD, EXITKILL = 1, 0x100000
ORIG_RAX, RDI, RSI, RDX = 15, 14, 13, 12  # struct user_regs_struct, in longs
ENDED = "(ended)"

NAMES = {
    0: "read", 1: "write", 3: "close", 5: "fstat", 8: "lseek", 9: "mmap", 11: "munmap", 12: "brk", 13: "rt_sigaction",
    16: "ioctl", 17: "pread64", 18: "pwrite64", 20: "writev", 32: "dup", 33: "dup2", 39: "getpid", 41: "socket",
    44: "sendto", 72: "fcntl", 73: "flock", 74: "fsync", 77: "ftruncate", 78: "getdents", 82: "rename", 83: "mkdir",
    87: "unlink", 107: "geteuid", 176: "delete_module", 217: "getdents64", 230: "clock_nanosleep", 231: "exit_group",
    257: "openat", 262: "newfstatat", 269: "faccessat", 313: "finit_module", 318: "getrandom", 319: "memfd_create",
}  # fmt: skip
CHANGING = {"flock", "fsync", "ftruncate", "rename", "mkdir", "unlink", "delete_module", "finit_module", "memfd_create"}
WRITING = {"write", "pwrite64", "sendto", "fcntl"}
FEW = frozenset({"fsync*", "finit_module*", "delete_module*", "write*"})
O_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def quiet(words: list[str]) -> tuple[int, str]:
    """A command in a child of its own: its status and what it printed."""
    with tempfile.TemporaryFile() as out:
        child = os.fork()
        if child == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2) if "--json" not in words else os.dup2(os.open("/dev/null", os.O_WRONLY), 2)
            os._exit(main(words))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return status, os.pread(out.fileno(), 1 << 22, 0).decode()


def killed(words: list[str], here: Callable[[list[str]], bool]) -> list[str]:
    """Run a command and kill it at the entry of the first system call that `here` wants: the calls that it came to."""
    child = os.fork()
    if child == 0:
        nowhere = os.open("/dev/null", os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        libc.ptrace(PTRACE_TRACEME, 0, None, None)
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(main(words))
    os.waitpid(child, 0)
    libc.ptrace(PTRACE_SETOPTIONS, child, None, TRACESYSGOOD | EXITKILL)
    calls: list[str] = []
    entering, passed_on = True, 0
    registers = (ctypes.c_ulong * 27)()
    while True:
        libc.ptrace(PTRACE_SYSCALL, child, None, passed_on)
        status = os.waitpid(child, 0)[1]
        if not os.WIFSTOPPED(status):
            return [*calls, ENDED]
        passed_on = 0
        if os.WSTOPSIG(status) != signal.SIGTRAP | 0x80:
            passed_on = os.WSTOPSIG(status)
            continue
        if entering:
            libc.ptrace(PTRACE_GETREGS, child, None, ctypes.addressof(registers))
            calls.append(name(registers))
            if here(calls):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return calls
        entering = not entering


def name(registers: ctypes.Array[ctypes.c_ulong]) -> str:
    """The call's name, with a star where it can change something."""
    number = registers[ORIG_RAX]
    called = NAMES.get(number, str(number))
    changing = called in CHANGING or (called in WRITING and registers[RDI] > 2)
    if called == "openat":
        changing = bool(registers[RDX] & O_WRITE)
    return f"{called}*" if changing else called


def state(patch: str) -> str:
    """What the kernel shows, without Suture."""
    try:
        with open(f"/sys/kernel/livepatch/{patch}/enabled") as enabled:
            on = enabled.read().strip() == "1"
        with open(f"/sys/kernel/livepatch/{patch}/transition") as transition:
            moving = transition.read().strip() == "1"
    except OSError:
        return "left over" if os.path.exists(f"/sys/module/{patch}") else "gone"
    if moving:
        return "coming" if on else "going"
    return "in force" if on else "out of force"


def said(patch: str, document: dict) -> str:  # type: ignore[type-arg]
    """The same by ``suture status --json``."""
    for item in document["patches"]:
        if item["patch"]["name"] == patch:
            if item["patch"]["transition"]:
                return "coming" if item["patch"]["enabled"] else "going"
            return "in force" if item["patch"]["enabled"] else "out of force"
    return "left over" if patch in document["left_over"] else "gone"


def prepare(operation: str, module: str, before: str) -> None:
    """The state in which the command begins."""
    bring(module, "in force" if operation == "unload" else "gone")
    if before:
        bring(before, "in force")


def bring(module: str, wanted: str) -> None:
    patch = named(module)
    if state(patch) != wanted:
        words = ["load", module] if wanted == "in force" else ["unload", patch]
        status, text = quiet(words)
        if state(patch) != wanted:
            raise SystemExit(f"{words} ended with {status} and left it {state(patch)}: {text}")


def named(module: str) -> str:
    return os.path.basename(module).partition(".")[0]


def is_clean(end: str, before: str) -> bool:
    """One of the two states that a change may end in; what it replaces is in force where it is not."""
    other = {"in force": "gone", "gone": "in force"}.get(end)
    return other is not None and (not before or state(named(before)) == other)


def trial(words: list[str], operation: str, module: str, old: str, here: Callable[[list[str]], bool]) -> Row:
    patch = named(module)
    prepare(operation, module, old)
    calls = killed(words, here)
    before = state(patch)
    verdict, text = quiet(["status", "--json", "--check"])
    after = state(patch)
    document = json.loads(text)
    reported = said(patch, document)
    _, recovered = quiet(["recover", "--json"])
    end = state(patch)
    final, last = quiet(["status", "--json", "--check"])
    fault = ""
    if reported not in (before, after):
        fault = f"status said {reported}, and it was {before}"
    elif not is_clean(end, old) or final != 0:
        fault = f"recover left it {end}, verdict {final}: {recovered} {last}"
    return {
        "point": len(calls) - 1,
        "call": calls[-1],
        "after": before,
        "said": reported,
        "verdict": verdict,
        "interrupted": len(document["interrupted"]),
        "recovered": end,
        "fault": fault,
    }


def points(calls: list[str], which: str) -> Iterator[Callable[[list[str]], bool]]:
    """Where to kill, one after the other.  How often is polled differs between runs, so that changes are counted."""
    if which == "all":
        for number in range(1, 1 << 20):
            yield lambda seen, number=number: len(seen) == number  # type: ignore[misc]
    chosen = FEW if which == "few" else None
    for number in range(1, changes(calls, chosen) + 1):
        yield lambda seen, number=number: is_change(seen[-1], chosen) and changes(seen, chosen) == number  # type: ignore[misc]
        # The call after it, whatever that is; one that changes something is a point of its own.
        yield lambda seen, number=number: len(seen) > 1 and changes(seen[:-1], chosen) == number  # type: ignore[misc]


def changes(calls: list[str], chosen: frozenset[str] | None = None) -> int:
    return sum(is_change(call, chosen) for call in calls)


def is_change(call: str, chosen: frozenset[str] | None) -> bool:
    return call.endswith("*") if chosen is None else call in chosen


def run(operation: str, which: str, module: str, before: str = "") -> None:
    words = ["load", module] if operation == "load" else ["unload", named(module)]
    prepare(operation, module, before)
    quiet(["recover", "--json"])
    # Once in this process, so that everything is imported; then once traced, for the list of calls.
    nowhere = os.open("/dev/null", os.O_WRONLY)
    kept = os.dup(1), os.dup(2)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    for line in (words, ["status", "--json", "--check"], ["recover", "--json"]):
        main(line)
    sys.stdout.flush()
    os.dup2(kept[0], 1)
    os.dup2(kept[1], 2)
    prepare(operation, module, before)
    calls = killed(words, lambda seen: False)
    print(json.dumps({"calls": len(calls) - 1, "changing": changes(calls)}), flush=True)
    started = time.monotonic()
    for here in points(calls, which):
        row = trial(words, operation, module, before, here)
        print(json.dumps(row), flush=True)
        if which == "all" and row["call"] == ENDED:
            break
    print(json.dumps({"seconds": round(time.monotonic() - started, 1)}), flush=True)


if __name__ == "__main__":
    run(*sys.argv[1:])
