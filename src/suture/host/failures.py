# SPDX-License-Identifier: GPL-2.0-or-later
"""Every exception that leaves a command becomes a `Refusal`, so that no user sees a traceback.

All commands begin here: what only a failure needs is imported when there is one.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from suture import __version__
from suture.errors import (
    BUILD_EXTRA_MISSING,
    FLEET_EXTRA_MISSING,
    FOLLOW_EXTRA_MISSING,
    INTERNAL_ERROR,
    INTERRUPTED,
    LIBRARY_MISSING,
    Refusal,
)
from suture.host import paths

NOT_OURS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
"""What the host can say no to at any time: a full or read-only disk, or a file that may not be
touched."""

OWN_ENVIRONMENT = (
    "The package and the one-file Suture do not bring it: install Suture with it in an "
    "environment of its own: 'python3 -m venv /opt/suture', '/opt/suture/bin/pip install "
    "suture[follow]'."
)

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a program to end."""


@contextmanager
def refused(words: Sequence[str]) -> Iterator[None]:
    """Turn exceptions of the block into a `Refusal`.

    :param words: the command line, for the message.
    :raises Refusal: ``interrupted``, ``disk-full``, ``file-unreadable``, ``build-extra-missing``,
        ``follow-extra-missing``, ``fleet-extra-missing``, ``library-missing``,
        ``internal-error``, and those of the block
        itself
    """
    try:
        yield
    except Refusal:
        raise
    except KeyboardInterrupt as error:
        raise Refusal(INTERRUPTED, command_name(words), "stopped by a signal") from error
    except ModuleNotFoundError as error:
        raise module_missing(words, error) from error
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # whoever read our output has enough
        raise refused_by_host(words, error) from error
    except Exception as error:
        raise internal_error(words, error) from error


def module_missing(words: Sequence[str], error: ModuleNotFoundError) -> Refusal:
    """Return the refusal for a Python module that is not there."""
    from suture.host import deployment
    from suture.host.packages import BUILD_MODULES, FLEET_MODULES, FOLLOW_MODULES

    top = (error.name or "").partition(".")[0]
    found = f"needs the Python module {error.name}"
    if top in BUILD_MODULES or (top == "suture" and deployment.this().is_runtime_half):
        remedy = deployment.build_remedy()
        return Refusal(BUILD_EXTRA_MISSING, command_name(words), found, remedy=remedy)
    if top in FOLLOW_MODULES:
        remedy = OWN_ENVIRONMENT if deployment.this().is_runtime_half else None
        return Refusal(FOLLOW_EXTRA_MISSING, command_name(words), found, remedy=remedy)
    if top in FLEET_MODULES:
        return Refusal(FLEET_EXTRA_MISSING, command_name(words), found)
    if top == "cryptography":
        return Refusal(LIBRARY_MISSING, command_name(words), found)
    return internal_error(words, error)


def refused_by_host(words: Sequence[str], error: OSError) -> Refusal:
    """Return the refusal for a failed system call that no room expected."""
    from suture.host import files

    if error.errno not in NOT_OURS:
        return internal_error(words, error)
    named = error.filename
    where = os.fsdecode(named) if isinstance(named, (str, bytes)) else command_name(words)
    return files.cannot_write(Path(where), error)


def internal_error(words: Sequence[str], error: BaseException) -> Refusal:
    """Return the refusal for a bug in Suture; the traceback goes to a file beside the cache."""
    import platform
    import traceback

    from suture.host import files

    report = paths.own_cache() / "bugs" / time.strftime(f"%Y%m%d-%H%M%S-{os.getpid()}.txt")
    versions = f"suture {__version__}, Python {platform.python_version()}, {platform.platform()}"
    about = f"{versions}\n{list(words)}\n\n"
    found = traceback.format_exception_only(error)[-1].strip()
    try:
        text = about + "".join(traceback.format_exception(error))
        files.write_atomic(report, text.encode(errors="backslashreplace"))
        evidence = f"the details are in {report}"
    except (Refusal, MemoryError):
        evidence = "the details could not be written to a file"
    return Refusal(INTERNAL_ERROR, command_name(words), found, evidence=[evidence])


def command_name(words: Sequence[str]) -> str:
    """Return the command of a whole command line: ``suture build``."""
    return " ".join(["suture", *(word for word in words[:1] if not word.startswith("-"))])


def end_like_ctrl_c() -> None:
    """Let SIGTERM and SIGHUP act like Ctrl-C, so that everything is cleaned up.

    A signal that the parent process ignores (nohup(1)) stays ignored.
    """
    for number in ENDING:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End the work at the first signal; later ones must not end the cleanup (SIGQUIT and SIGKILL
    still do)."""
    for each in ENDING:
        if signal.getsignal(each) is _interrupt:
            signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextmanager
def surviving_streams() -> Iterator[None]:
    """Let the block print to stdout and stderr even if they are closed, full, or read by no one.

    Output that can no longer be written is dropped silently: no one is left to tell.
    """
    # Python leaves a stream that was closed before we started as None.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    with suppress(OSError):
        yield
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # Python flushes once more when it ends, and complains; then it goes nowhere.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
