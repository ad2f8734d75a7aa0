# SPDX-License-Identifier: GPL-2.0-or-later
"""A shell in the guest: from a pipe, and at a pseudo terminal as a user has it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from suture.elf import reader
from suture.errors import Refusal
from suture.kernel.release import Target
from suture.lab.shell import CommandStreams, GuestPatchFile, ShellPlan, ShellResult, shared, shell
from suture.module.inspect import inspect
from tests.lab.conftest import BuildModule
from tests.lab.test_livepatch import LIVE_PATCH, SHOW

PROGRAM = [sys.executable, "-m", "suture", "lab", "shell"]
PROMPT = rb"%s:\S+# "
SOON = 120


def patch_file(build_module: BuildModule, name: str) -> GuestPatchFile:
    fields = {"code": SHOW % "", "old": "cmdline_proc_show", "object": "NULL"}
    data = build_module(name, LIVE_PATCH % {**fields, "enable": "klp_enable_patch(&patch)"})
    return GuestPatchFile(f"{name}.ko", data, inspect(reader.read(data, name)))


def commanded(target: Target, plan: ShellPlan, commands: str) -> tuple[ShellResult, str, str]:
    """The result of a shell, its output and its errors."""
    output, errors = bytearray(), bytearray()
    reading, writing = os.pipe()
    os.write(writing, commands.encode())
    os.close(writing)
    try:
        wiring = CommandStreams(reading, output.extend, errors.extend)
        result = shell(target, plan, wiring)
    finally:
        os.close(reading)
    return result, output.decode(), errors.decode()


def test_commands_run_in_the_patched_kernel_with_files_and_a_shared_directory(
    target: Target, build_module: BuildModule, tmp_path: Path
) -> None:
    (tmp_path / "given").write_text("from the host\n")
    plan = ShellPlan(
        files={"tool.sh": b"#!/bin/sh\necho tool $1\n"},
        patches=(patch_file(build_module, "in_shell"),),
        load=True,
        modules=("loop",),
        share=shared(tmp_path, writable=True),
    )
    commands = """
    uname -r; cat /proc/cmdline given; /lab/tool.sh here; ls /lab
    modprobe loop && [ -e /sys/module/loop ] && echo loop
    dd if=/dev/zero of=made bs=1k count=300 2>/dev/null
    echo wrong >&2
    echo WARNING: from the shell >/dev/kmsg
    exit 7
    never
    """
    result, output, errors = commanded(target, plan, commands)
    assert output.splitlines() == [
        *(target.release, "patched", "from the host", "tool here", "in_shell.ko", "tool.sh"),
        "loop",
    ]
    assert (errors, result.status) == ("wrong\n", 7)
    assert [complaint.what for complaint in result.complaints] == ["WARNING"]
    assert (tmp_path / "made").read_bytes() == bytes(300 << 10)


def test_a_guest_that_is_powered_off_ends_the_shell(target: Target, tmp_path: Path) -> None:
    plan = ShellPlan(share=shared(tmp_path, writable=False))
    result, output, _ = commanded(target, plan, "touch x || echo read-only; poweroff -f\nsleep 100")
    assert (result.status, output) == (0, "read-only\n")
    assert not (tmp_path / "x").exists()


def test_a_guest_that_dies_under_the_shell_is_refused_with_its_last_words(target: Target) -> None:
    with pytest.raises(Refusal, match="sysrq triggered crash") as refused:
        commanded(target, ShellPlan(), "echo c >/proc/sysrq-trigger\nsleep 100")
    assert refused.value.code == "lab-guest-died"


@dataclass(slots=True)
class AtTerminal:
    """A command at a pseudo terminal."""

    keyboard: int
    terminal: int
    program: subprocess.Popen[bytes]
    seen: bytes = b""

    def sees(self, pattern: bytes, *, typing: bytes = b"") -> str:
        """What has been shown up to the end of the pattern.

        :param typing: keys that are typed until then: a signal that comes while a shell forks is
            lost.
        """
        until = time.monotonic() + SOON
        self.types(typing)
        while (found := re.search(pattern, self.seen)) is None:
            assert time.monotonic() < until, self.seen
            ready, _, _ = select.select([self.keyboard], [], [], 1)
            if ready:
                self.seen += os.read(self.keyboard, 1 << 12)
            else:
                self.types(typing)
        shown, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return shown.decode()

    def types(self, keys: bytes) -> None:
        os.write(self.keyboard, keys)

    def resize(self, rows: int, columns: int) -> None:
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, size)


def at_terminal(*words: str, cwd: Path) -> AtTerminal:
    keyboard, terminal = pty.openpty()
    program = subprocess.Popen(
        [*PROGRAM, *words],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        cwd=cwd,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    made = AtTerminal(keyboard, terminal, program)
    made.resize(40, 100)
    return made


def machines_of(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if "qemu" in Path(f"/proc/{child}/comm").read_text()]


def test_at_a_terminal_keys_sizes_and_the_end_are_as_in_any_shell(
    target: Target, tmp_path: Path
) -> None:
    prompt = PROMPT % re.escape(target.release).encode()
    (tmp_path / "given").touch()
    user = at_terminal("--kernel", target.release, cwd=tmp_path)
    before = termios.tcgetattr(user.terminal)
    assert f"/share is {tmp_path}, read-only" in user.sees(prompt)
    user.types(b"ls; stty size; tty\r")
    assert "given\r\n40 100\r\n/dev/hvc0\r\n" in user.sees(prompt)
    user.resize(33, 120)
    user.program.send_signal(signal.SIGWINCH)  # which the kernel sends to what is in front
    user.types(b"until [ \"$(stty size)\" = '33 120' ]; do :; done; echo re''sized\r")
    user.sees(b"resized")  # the shell shows its prompt again when the size changes
    user.sees(prompt)
    user.types(b"echo as''leep; sleep 1000; echo ne''ver\r")
    user.sees(b"asleep")
    assert "never" not in user.sees(prompt, typing=b"\x03")
    assert termios.tcgetattr(user.terminal) != before
    user.types(b"(exit 5)\r\x04")
    assert user.program.wait(SOON) == 5
    assert termios.tcgetattr(user.terminal) == before


def test_an_interrupted_shell_leaves_no_machine_and_the_terminal_as_it_was(
    target: Target, tmp_path: Path
) -> None:
    user = at_terminal("--kernel", target.release, cwd=tmp_path)
    before = termios.tcgetattr(user.terminal)
    user.sees(PROMPT % re.escape(target.release).encode())
    (machine,) = machines_of(user.program.pid)
    user.program.terminate()
    assert "error[interrupted]" in user.sees(b"Run the same command again")
    assert user.program.wait(SOON) == 1
    assert termios.tcgetattr(user.terminal) == before
    assert not Path(f"/proc/{machine}").exists()
