# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a command of Suture's under ptrace(2), and kill it at the entry of a system call, which then
does not happen.

The command runs in a child that has all of Python's modules imported already.
"""

from __future__ import annotations

import ctypes
import os
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field

from suture.cli.app import main

PTRACE_TRACEME, PTRACE_GETREGS, PTRACE_SYSCALL, PTRACE_SETOPTIONS = 0, 12, 24, 0x4200
TRACESYSGOOD, EXITKILL = 1, 0x100000
ORIG_RAX, RDI, RSI, RDX = 15, 14, 13, 12  # struct user_regs_struct, in longs
ENDED = "(ended)"
IN_A_ROW = 5

NAMES = {
    0: "read", 1: "write", 3: "close", 5: "fstat", 8: "lseek", 9: "mmap", 11: "munmap", 12: "brk", 13: "rt_sigaction",
    16: "ioctl", 17: "pread64", 18: "pwrite64", 20: "writev", 32: "dup", 33: "dup2", 39: "getpid", 41: "socket",
    44: "sendto", 72: "fcntl", 73: "flock", 74: "fsync", 77: "ftruncate", 78: "getdents", 82: "rename", 83: "mkdir",
    87: "unlink", 91: "fchmod", 93: "fchown", 107: "geteuid", 176: "delete_module", 217: "getdents64",
    228: "clock_gettime", 230: "clock_nanosleep", 231: "exit_group", 257: "openat", 258: "mkdirat", 262: "newfstatat",
    263: "unlinkat", 264: "renameat", 269: "faccessat", 313: "finit_module", 316: "renameat2", 318: "getrandom",
    319: "memfd_create",
}  # fmt: skip
CHANGING = {
    *(
        "delete_module",
        "finit_module",
        "memfd_create",
        "flock",
        "fsync",
        "fchmod",
        "fchown",
        "ftruncate",
    ),
    *("mkdir", "mkdirat", "rename", "renameat", "renameat2", "unlink", "unlinkat"),
}
WRITING = {"write", "pwrite64", "sendto", "fcntl"}
O_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


@dataclass(slots=True)
class Seen:
    """What a command has come to.

    :ivar calls: by name, with a star where they can change something; the last one did not happen.
    :ivar changing: those with a star.  One that is tried again until it succeeds counts once.
    :ivar since: calls since the last of those, 0 at that one itself.  Of the same call over and
        over, such as the thousand reads of /proc/kallsyms, the first ones count.
    """

    calls: list[str] = field(default_factory=list)
    changing: list[str] = field(default_factory=list)
    since: int = 0

    def add(self, call: str) -> None:
        self.since += self.calls[-IN_A_ROW:] != [call] * IN_A_ROW
        self.calls.append(call)
        if call.endswith("*") and [call] != self.changing[-1:]:
            self.changing.append(call)
            self.since = 0


def quiet(words: list[str]) -> tuple[int, str]:
    """A command in a child of its own: its status and what it printed."""
    with tempfile.TemporaryFile() as out:
        child = os.fork()
        if child == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2) if "--json" not in words else os.dup2(
                os.open("/dev/null", os.O_WRONLY), 2
            )
            os._exit(main(words))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return status, os.pread(out.fileno(), 1 << 22, 0).decode()


def killed(words: list[str], here: Callable[[Seen], bool]) -> Seen:
    """Run a command and kill it at the entry of the first system call that `here` wants: what it
    came to."""
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
    seen = Seen()
    entering, passed_on = True, 0
    registers = (ctypes.c_ulong * 27)()
    while True:
        libc.ptrace(PTRACE_SYSCALL, child, None, passed_on)
        status = os.waitpid(child, 0)[1]
        if not os.WIFSTOPPED(status):
            seen.add(ENDED)
            return seen
        passed_on = 0
        if os.WSTOPSIG(status) != signal.SIGTRAP | 0x80:
            passed_on = os.WSTOPSIG(status)
            continue
        if entering:
            libc.ptrace(PTRACE_GETREGS, child, None, ctypes.addressof(registers))
            seen.add(name(child, registers))
            if here(seen):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return seen
        entering = not entering


def name(child: int, registers: ctypes.Array[ctypes.c_ulong]) -> str:
    """The call's name, with a star where it can change something; of a write below /sys also the
    file."""
    number = registers[ORIG_RAX]
    called = NAMES.get(number, str(number))
    changing = called in CHANGING or (called in WRITING and registers[RDI] > 2)
    if called == "openat":
        changing = bool(registers[RDX] & O_WRITE)
    if called == "write" and changing:
        file = os.readlink(f"/proc/{child}/fd/{registers[RDI]}")
        called += f" {os.path.basename(file)}" if file.startswith("/sys/") else ""
    return f"{called}*" if changing else called
