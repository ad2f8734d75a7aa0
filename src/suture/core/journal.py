# SPDX-License-Identifier: GPL-2.0-or-later
"""What was done to the running kernel: who, when, what, the kernel's answers, the outcome.

An append-only file of JSON lines.  Before anything is changed its *intent* is written and made
durable, and the *outcome* after.  An intent without an outcome is work that was interrupted: by
SIGKILL, or by a power failure, after which the boot ID is another one.  A last line that was torn
is passed over, and the next record begins on a new line.

Every record goes to the systemd journal too, where there is one.
"""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from suture.core import running
from suture.errors import JOURNAL_UNWRITABLE, Refusal
from suture.host import paths

SYSTEMD = "/run/systemd/journal/socket"
NOBODY = (1 << 32) - 1
"""``/proc/self/loginuid`` of what no login has started."""


class RecordPhase(StrEnum):
    """Whether a record was written before a change or after it."""

    INTENT = "intent"
    OUTCOME = "outcome"


@dataclass(frozen=True, slots=True)
class Record:
    """One line.

    :ivar id: the same for the intent and the outcome of one operation.
    :ivar time: UTC, ISO 8601.
    :ivar boot: the boot ID.
    :ivar operation: ``load``, ``unload``, ``force``, ``recover``, and what the store does.
    :ivar patch: its name.
    :ivar result: of an outcome: one word, such as ``loaded``, ``reverted`` or a refusal's code.
    :ivar details: hashes, times, what the kernel said, what was unloaded beside.
    """

    phase: RecordPhase
    id: str
    time: str
    boot: str
    operation: str
    patch: str
    user: str
    pid: int
    result: str = ""
    details: Mapping[str, object] = field(default_factory=dict)

    def line(self) -> bytes:
        """The record as one line of JSON."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Journal:
    """The record of all changes on this host.

    :ivar path: the file; root's alone to write.
    """

    path: Path = paths.STATE / "journal"

    def begin(self, operation: str, patch: str, details: Mapping[str, object]) -> Record:
        """Write down, durably, what is about to be done.  :raises Refusal:
        ``journal-unwritable``"""
        record = Record(
            RecordPhase.INTENT,
            os.urandom(6).hex(),
            _now(),
            running.boot_id(),
            operation,
            patch,
            user(),
            os.getpid(),
            details=details,
        )
        try:
            _append(self.path, record.line())
        except OSError as error:
            raise Refusal(
                JOURNAL_UNWRITABLE, str(self.path), error.strerror or str(error)
            ) from error
        _tell_systemd(record)
        return record

    def end(self, intent: Record, result: str, details: Mapping[str, object]) -> bool:
        """Write down what came of it.  What was done is done, so a full disk is no refusal here.

        :return: whether it could be written.
        """
        record = Record(
            RecordPhase.OUTCOME,
            intent.id,
            _now(),
            running.boot_id(),
            intent.operation,
            intent.patch,
            user(),
            os.getpid(),
            result,
            details,
        )
        _tell_systemd(record)
        try:
            _append(self.path, record.line())
        except OSError:
            return False
        return True

    def records(self) -> tuple[Record, ...]:
        """All lines that can be read, oldest first; none where there is no journal or it may not be
        read."""
        try:
            content = self.path.read_bytes()
        except OSError:
            return ()
        return tuple(
            record for line in content.split(b"\n") if (record := _parse(line)) is not None
        )


def unfinished(records: Sequence[Record]) -> tuple[Record, ...]:
    """The intents that have no outcome, oldest first."""
    ended = {record.id for record in records if record.phase is RecordPhase.OUTCOME}
    return tuple(
        record
        for record in records
        if record.phase is RecordPhase.INTENT and record.id not in ended
    )


def user() -> str:
    """Who is at work: the user who logged in, where the kernel keeps that, and who they have
    become."""
    effective = _name(os.geteuid())
    login = running.text(Path("/proc/self/loginuid"))
    if not login.isdigit() or int(login) == NOBODY or _name(int(login)) == effective:
        return effective
    return f"{_name(int(login))} as {effective}"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _append(path: Path, line: bytes) -> None:
    new = not path.exists()
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        data = b"\n" + line if torn else line
        if os.write(descriptor, data) != len(data):
            raise OSError(28, "No space left on device")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if new:
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _parse(line: bytes) -> Record | None:
    """A record; None for what was torn or damaged."""
    try:
        fields = json.loads(line)
        record = Record(**{**fields, "phase": RecordPhase(fields["phase"])})
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    words = (
        record.id,
        record.time,
        record.boot,
        record.operation,
        record.patch,
        record.user,
        record.result,
    )
    return (
        record
        if all(isinstance(word, str) for word in words) and isinstance(record.details, dict)
        else None
    )


def _tell_systemd(record: Record) -> None:
    """systemd's native protocol: ``FIELD=value`` lines in one datagram; no value of ours has a line
    break."""
    about = f"suture: {record.operation} {record.patch}: {record.result or 'begins'}"
    fields = {
        "MESSAGE": about,
        "PRIORITY": "5",
        "SYSLOG_IDENTIFIER": "suture",
        "SUTURE_OPERATION": record.operation,
        "SUTURE_PATCH": record.patch,
        "SUTURE_RECORD": record.line().decode().strip(),
    }
    datagram = "".join(
        f"{name}={' '.join(value.splitlines())}\n" for name, value in fields.items()
    ).encode()
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.setblocking(False)
        try:
            line.sendto(datagram, SYSTEMD)
        except OSError:
            return  # no systemd here, or its buffer is full: our own file has it
