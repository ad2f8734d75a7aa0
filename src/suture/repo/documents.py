# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of a repository that are not metadata: what a live patch is, what was withdrawn, and
what a ring has chosen.

All are JSON objects with a format number.  Their bytes are vouched for by metadata; what is read
here is checked again all the same, since whoever holds a ring's key writes such files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from suture.errors import METADATA_UNTRUSTED, Refusal
from suture.model import Fix

FORMAT = 1

NAME = re.compile(r"[0-9A-Za-z_]{1,55}")
"""The names of modules (``include/linux/moduleparam.h: MAX_PARAM_PREFIX_LEN``)."""

RELEASE = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+~-]{0,63}")
RING = re.compile(r"[0-9a-z][0-9a-z-]{0,31}")
_SHA256 = re.compile(r"[0-9a-f]{64}")

WHOLE = 10_000
"""All hosts, where a share of them is meant."""

PATCHES_ROLE, RING_ROLE = "patches-", "ring-"


def patch_path(release: str, name: str, ending: str = ".ko") -> str:
    """Return the target path of a live patch's file."""
    return f"patches/{release}/{name}{ending}"


def withdrawn_path(release: str) -> str:
    """Return the target path of the list of withdrawn live patches."""
    return f"patches/{release}/withdrawn.json"


def choice_path(ring: str, release: str) -> str:
    """Return the target path of a ring's choice for a kernel."""
    return f"rings/{ring}/{release}.json"


@dataclass(frozen=True, slots=True)
class PublishedPatch:
    """A live patch that a release role vouches for.

    :ivar sha256: of the module file, hexadecimal; `length` in bytes.
    :ivar functions: those that it replaces, ``OBJECT:FUNCTION``.
    :ivar accepted: dangers that its author accepted, each with the reason.
    :ivar stays: why it stays in memory once it was loaded.
    :ivar reports: the ending of each report's file -> SHA-256.
    :ivar proof: what was compared with the shipped kernel, and found equal; empty for nothing.
    :ivar reboot_by: the day until which it is meant to protect a host, ISO 8601, or "".
    :ivar published: UTC, ISO 8601.
    """

    release: str
    name: str
    sha256: str
    length: int
    build_id: str
    replace: bool
    functions: tuple[str, ...]
    fixes: tuple[Fix, ...]
    accepted: tuple[str, ...]
    stays: tuple[str, ...]
    reports: Mapping[str, str]
    proof: Mapping[str, object]
    reboot_by: str
    published: str

    @property
    def cves(self) -> tuple[str, ...]:
        """The vulnerabilities that it closes."""
        return tuple(sorted({cve for fix in self.fixes for cve in fix.cves}))

    def content(self) -> bytes:
        """Return the file."""
        return written({"format": FORMAT, **asdict(self)})

    @classmethod
    def parse(cls, content: bytes, where: str) -> PublishedPatch:
        """Read the file.  :raises Refusal: ``metadata-untrusted``"""
        fields = _fields(content, where)
        found = cls(
            _text(fields, "release", where, RELEASE),
            _text(fields, "name", where, NAME),
            _text(fields, "sha256", where, _SHA256),
            _number(fields, "length", where),
            _text(fields, "build_id", where),
            _flag(fields, "replace", where),
            _texts(fields, "functions", where),
            tuple(_fix(item, where) for item in _list(fields, "fixes", where)),
            _texts(fields, "accepted", where),
            _texts(fields, "stays", where),
            _mapping(fields, "reports", where),
            _mapping(fields, "proof", where),
            _text(fields, "reboot_by", where),
            _text(fields, "published", where),
        )
        if found.reboot_by:
            moment(found.reboot_by, where)
        return found


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A live patch that was vouched for once, and is to be taken out."""

    name: str
    sha256: str
    reason: str
    withdrawn: str


@dataclass(frozen=True, slots=True)
class Withdrawals:
    """All that were withdrawn for a kernel."""

    release: str
    entries: tuple[Withdrawal, ...] = ()

    def content(self) -> bytes:
        """Return the file."""
        return written({"format": FORMAT, **asdict(self)})

    @classmethod
    def parse(cls, content: bytes, where: str) -> Withdrawals:
        """Read the file.  :raises Refusal: ``metadata-untrusted``"""
        fields = _fields(content, where)
        return cls(
            _text(fields, "release", where, RELEASE),
            tuple(
                Withdrawal(
                    _text(item, "name", where, NAME),
                    _text(item, "sha256", where, _SHA256),
                    _text(item, "reason", where),
                    _text(item, "withdrawn", where),
                )
                for item in _list(fields, "entries", where)
            ),
        )


@dataclass(frozen=True, slots=True)
class ChosenPatch:
    """A live patch, as a ring names it."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class RingChoice:
    """What a ring has chosen for a kernel.

    :ivar patch: None for none: hosts take out what they have by this ring.
    :ivar previous: for the hosts that `share` leaves out.
    :ivar share: of `WHOLE`: how many hosts load `patch`.
    :ivar salt: with which the place of each host is computed; another salt, other hosts first.
    :ivar since: when `patch` was chosen, UTC, ISO 8601.
    :ivar not_before: when hosts may load it, or "".
    :ivar halted: no host that does not have `patch` yet loads it.
    :ivar replace: functions of earlier live patches may lose their fix.
    """

    ring: str
    release: str
    patch: ChosenPatch | None
    previous: ChosenPatch | None
    share: int
    salt: str
    since: str
    not_before: str = ""
    halted: bool = False
    replace: bool = False

    def content(self) -> bytes:
        """Return the file."""
        return written({"format": FORMAT, **asdict(self)})

    @classmethod
    def parse(cls, content: bytes, where: str) -> RingChoice:
        """Read the file.  :raises Refusal: ``metadata-untrusted``"""
        fields = _fields(content, where)
        found = cls(
            _text(fields, "ring", where, RING),
            _text(fields, "release", where, RELEASE),
            _chosen(fields.get("patch"), where),
            _chosen(fields.get("previous"), where),
            _number(fields, "share", where),
            _text(fields, "salt", where),
            _text(fields, "since", where),
            _text(fields, "not_before", where),
            _flag(fields, "halted", where),
            _flag(fields, "replace", where),
        )
        if found.share > WHOLE:
            raise _wrong(where, f"its share is {found.share} of {WHOLE}")
        for when in filter(None, (found.since, found.not_before)):
            moment(when, where)
        return found


def now() -> datetime:
    """Return the time to the second, UTC."""
    return datetime.now(UTC).replace(microsecond=0)


def stamp(when: datetime) -> str:
    """Write a time down: UTC, ISO 8601, to the second."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str, where: str) -> datetime:
    """Read a time or a day.  :raises Refusal: ``metadata-untrusted``"""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise _wrong(where, f"{text!r} is not a time") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def written(document: Mapping[str, object]) -> bytes:
    """Return a document's bytes: the same for the same content."""
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"


def _wrong(where: str, found: str) -> Refusal:
    return Refusal(METADATA_UNTRUSTED, where, found)


def _fields(content: bytes, where: str) -> dict[str, Any]:
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise _wrong(where, f"is not a document of format {FORMAT}")
    return fields


def _text(fields: object, name: str, where: str, form: re.Pattern[str] | None = None) -> str:
    value = fields.get(name) if isinstance(fields, dict) else None
    if not isinstance(value, str) or (form is not None and not form.fullmatch(value)):
        raise _wrong(where, f"it has no {name} that can be one")
    return value


def _number(fields: Mapping[str, Any], name: str, where: str) -> int:
    value = fields.get(name)
    if type(value) is not int or value < 0:
        raise _wrong(where, f"its {name} is no number")
    return value


def _flag(fields: Mapping[str, Any], name: str, where: str) -> bool:
    value = fields.get(name)
    if not isinstance(value, bool):
        raise _wrong(where, f"its {name} is neither true nor false")
    return value


def _list(fields: Mapping[str, Any], name: str, where: str) -> Sequence[object]:
    value = fields.get(name)
    if not isinstance(value, list):
        raise _wrong(where, f"its {name} is no list")
    return value


def _texts(fields: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    value = _list(fields, name, where)
    if not all(isinstance(item, str) for item in value):
        raise _wrong(where, f"its {name} is no list of texts")
    return tuple(map(str, value))


def _mapping(fields: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    value = fields.get(name)
    if not isinstance(value, dict):
        raise _wrong(where, f"its {name} is no object")
    return value


def _chosen(value: object, where: str) -> ChosenPatch | None:
    if value is None:
        return None
    return ChosenPatch(_text(value, "name", where, NAME), _text(value, "sha256", where, _SHA256))


def _fix(value: object, where: str) -> Fix:
    title, author, date, commit = (
        _text(value, name, where) for name in ("title", "author", "date", "commit")
    )
    assert isinstance(value, dict)
    cves, links, fixes = (_texts(value, name, where) for name in ("cves", "links", "fixes"))
    return Fix(title, author, date, commit, cves, links, fixes)
