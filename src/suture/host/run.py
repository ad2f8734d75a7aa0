# SPDX-License-Identifier: GPL-2.0-or-later
"""Running programs: the only place that starts one and waits for it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from suture.errors import COMMAND_FAILED, DISK_FULL, TOOL_MISSING, Kind, Refusal

EVIDENCE_LINES = 20

STREAM_BUFFER = 1 << 20
"""Bytes that are read of a stream at a time."""

NO_SPACE = ("No space left on device", "Wrote only")
"""What programs say on a full disk; the second is tar's (``write_fatal_details()``) when part of a
block still went."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished program: its command, its exit status, and its output."""

    command: tuple[str, ...]
    status: int
    stdout: str
    stderr: str


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdout: IO[bytes] | None = None,
) -> Finished:
    """Run a program to its end and capture its output; an interrupt ends it with all its children.

    :param env: the whole environment; None for this process's own.
    :param stdout: a file to which the output goes instead, for programs that print other bytes than
        text.
    :raises Refusal: ``tool-missing``
    """
    words = tuple(str(word) for word in command)
    try:
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdout is None else stdout,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # its own process group, so that make's compilers end with it
        )
    except FileNotFoundError as error:
        raise Refusal(TOOL_MISSING, words[0], "is not installed or not on the PATH") from error
    try:
        out, err = process.communicate()
    except BaseException:
        end(process)
        raise
    return Finished(words, process.returncode, out or "", err)


@contextmanager
def streamed(command: Sequence[str | Path]) -> Iterator[IO[bytes]]:
    """Give a program's output while it runs; the program ends with the block at the latest.

    What it prints besides is dropped, and its exit status too: only for output that says itself
    whether it is complete.

    :raises Refusal: ``tool-missing``
    """
    words = [str(word) for word in command]
    nothing = subprocess.DEVNULL
    try:
        process = subprocess.Popen(
            words, stdin=nothing, stdout=subprocess.PIPE, stderr=nothing, bufsize=STREAM_BUFFER
        )
    except FileNotFoundError as error:
        raise Refusal(TOOL_MISSING, words[0], "is not installed or not on the PATH") from error
    with process:
        try:
            assert process.stdout is not None
            yield process.stdout
        finally:
            process.kill()


TIMED_OUT, NOT_STARTED = 124, 126
"""Exit statuses as timeout(1) and a shell have them."""


def fed(
    command: Sequence[str | Path], content: bytes, *, env: Mapping[str, str], deadline: float
) -> Finished:
    """Run a program with `content` on its standard input, and end it after `deadline` seconds.

    :return: with the status `TIMED_OUT` or `NOT_STARTED` where that is what happened
    """
    words = tuple(str(word) for word in command)
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(
            words,
            cwd="/",
            env=dict(env),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        return Finished(words, NOT_STARTED, "", f"it cannot be started: {error.strerror}")
    try:
        out, err = process.communicate(content.decode(), timeout=deadline)
    except subprocess.TimeoutExpired:
        end(process)
        return Finished(words, TIMED_OUT, "", f"it did not end within {deadline:g} s")
    except BaseException:
        end(process)
        raise
    return Finished(words, process.returncode, out, err)


def check(
    command: Sequence[str | Path],
    *,
    where: str | None = None,
    kind: Kind = COMMAND_FAILED,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Finished:
    """Run a program, and refuse with its last lines if it fails.

    :param where: what the step was about, for the message; the program's name by default.
    :raises Refusal: `kind`, ``tool-missing``, ``disk-full``
    """
    finished = run(command, cwd=cwd, env=env)
    if finished.status != 0:
        output = (finished.stderr.strip() or finished.stdout.strip()).splitlines()
        raise Refusal(
            DISK_FULL if says_disk_full(output) else kind,
            where or finished.command[0],
            f"{Path(finished.command[0]).name} exited with status {finished.status}",
            evidence=output[-EVIDENCE_LINES:],
        )
    return finished


def says_disk_full(output: Iterable[str]) -> bool:
    """Tell whether a program's output blames a full disk."""
    return any(words in line for line in output for words in NO_SPACE)


def end(process: subprocess.Popen[str]) -> None:
    """End a process started by `run` and everything in its group."""
    try:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
