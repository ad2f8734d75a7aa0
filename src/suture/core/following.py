# SPDX-License-Identifier: GPL-2.0-or-later
"""What a host remembers that follows a signed repository (`suture.repo.follow`): what it follows
with, what it has brought into force, what waits and why.

One file, ``/var/lib/suture/follow.json``, replaced as a whole.  'suture status' and the metrics
read it; they need nothing of what asks repositories.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from suture.core import trusted
from suture.errors import FOLLOW_STATE_DAMAGED, Refusal
from suture.host import paths

STATE_NAME = "follow.json"

TROUBLES = ("set-aside", "not-vouched")
"""Reasons to wait that somebody has to look at (`suture.repo.choice.WaitReason`)."""

FORMAT = 1

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class FollowedPatch:
    """A live patch that came from the repository.

    :ivar release: the kernel that it is for.
    :ivar build_id: by which it is known in the running kernel; "" where its module has none.
    """

    release: str
    name: str
    sha256: str
    build_id: str


@dataclass(frozen=True, slots=True)
class LoadAttempt:
    """A load that has begun, written down before.

    :ivar boot: the boot that it was begun in.
    :ivar died: how often the host went down with it.
    """

    sha256: str
    name: str
    boot: str
    died: int


@dataclass(frozen=True, slots=True)
class AsidePatch:
    """A live patch that failed here, and is not tried again until another one is offered.

    :ivar code: that of the refusal; `found` is its first line.
    """

    sha256: str
    name: str
    code: str
    found: str
    when: str


@dataclass(frozen=True, slots=True)
class FollowReport:
    """What the last run found.

    :ivar when: UTC, ISO 8601.
    :ivar offered: the newest live patch that the ring names for this kernel; "" for none.
    :ivar missing_cves: the vulnerabilities that `offered` closes and nothing in force does.
    :ivar covered_until: the day until which what is in force is meant to protect; "" if unknown.
    :ivar signed: when the newest metadata was made that this host has accepted; "" before any.
    :ivar expires: when that expires.
    :ivar waits: why what is offered is not in force, in one word; "" if it is, or nothing is.
    :ivar why: the same in words.
    :ivar error: the code of what went wrong; "" for nothing.
    :ivar found: its first line.
    """

    when: str = ""
    release: str = ""
    offered: str = ""
    missing_cves: tuple[str, ...] = ()
    covered_until: str = ""
    signed: str = ""
    expires: str = ""
    waits: str = ""
    why: str = ""
    error: str = ""
    found: str = ""


@dataclass(frozen=True, slots=True)
class Following:
    """All of it.

    :ivar url: as the last run had it; `ring` as well.
    :ivar hold: since when this host changes nothing, and why; "" for no hold.
    :ivar pin: the live patch at which this host stays; "" for what the ring chooses.
    :ivar applied: what came into force last.
    """

    url: str = ""
    ring: str = ""
    hold: str = ""
    pin: str = ""
    applied: FollowedPatch | None = None
    attempt: LoadAttempt | None = None
    aside: AsidePatch | None = None
    last: FollowReport = FollowReport()

    @property
    def is_expired(self) -> bool:
        """Whether the newest metadata that this host has accepted has expired: nobody asks any
        more, or nobody answers."""
        try:
            expires = datetime.fromisoformat(self.last.expires)
        except ValueError:
            return False
        return datetime.now(UTC) >= expires

    @property
    def is_troubled(self) -> bool:
        """Whether the repository's word does not get through to this host."""
        return bool(self.last.error) or self.last.waits in TROUBLES or self.is_expired


@dataclass(frozen=True, slots=True)
class FollowingFile:
    """The file.

    :ivar anchor: as in `suture.core.trusted.open_directory`; `owner` too.
    """

    directory: Path = paths.STATE
    anchor: Path = Path("/")
    owner: int = 0

    def read(self) -> Following:
        """Return what is remembered; nothing where there is no file.

        :raises Refusal: ``follow-state-damaged``, ``path-untrusted``, ``file-unreadable``
        """
        content = self.content(STATE_NAME)
        return parse(content, str(self.directory / STATE_NAME)) if content else Following()

    def write(self, following: Following) -> None:
        """Remember it, durably.  :raises Refusal: ``store-unwritable``, ``path-untrusted``"""
        document = {"format": FORMAT, **asdict(following)}
        self.put(STATE_NAME, json.dumps(document, indent=1).encode() + b"\n")

    def content(self, name: str) -> bytes:
        """Return a file's content; b"" where it is not there."""
        try:
            with self._open() as directory:
                return directory.read(name)
        except FileNotFoundError:
            return b""

    def put(self, name: str, content: bytes) -> None:
        """Write a file."""
        with self._open(make=True) as directory:
            directory.write(name, content)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        try:
            with self._open() as directory:
                directory.remove(name)
        except FileNotFoundError:
            return

    def _open(self, *, make: bool = False) -> trusted.Directory:
        return trusted.open_directory(
            self.directory, anchor=self.anchor, owner=self.owner, make=make
        )


def remembered() -> Following:
    """Return what this host remembers; of a file that cannot be read, why."""
    try:
        return FollowingFile().read()
    except Refusal as refusal:
        found = str(refusal).partition("\n")[0]
        return Following(last=FollowReport(error=refusal.code, found=found))


def parse(content: bytes, where: str) -> Following:
    """Read the file's content.  :raises Refusal: ``follow-state-damaged``"""
    try:
        document = json.loads(content)
        if document.pop("format") != FORMAT:
            raise ValueError
        for name, kind in (
            ("applied", FollowedPatch),
            ("attempt", LoadAttempt),
            ("aside", AsidePatch),
            ("last", FollowReport),
        ):
            if document[name] is not None:
                document[name] = _made(kind, document[name])
        return _made(Following, document)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Refusal(FOLLOW_STATE_DAMAGED, where, "is truncated or damaged") from None


def _made(kind: type[Made], document: Any) -> Made:
    """Make a dataclass of texts, numbers, lists of texts and other dataclasses.

    :raises TypeError: something has another type
    """
    known = {field.name: str(field.type) for field in fields(kind)}  # type: ignore[arg-type]
    made: dict[str, Any] = {}
    for name, value in document.items():
        wanted = known[name]
        if isinstance(value, list):
            if wanted != "tuple[str, ...]" or not all(isinstance(one, str) for one in value):
                raise TypeError(name)
            made[name] = tuple(value)
        elif is_dataclass(value):
            made[name] = value
        elif wanted.endswith("| None") and value is None:
            made[name] = None
        elif type(value).__name__ == wanted:
            made[name] = value
        else:
            raise TypeError(name)
    return kind(**made)
