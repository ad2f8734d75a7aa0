# SPDX-License-Identifier: GPL-2.0-or-later
"""Compiled objects, kept under a digest of their inputs, so that nothing is compiled twice.

An entry is one file: a line with the digest of the rest, then the content, which for an object
begins with a line of JSON.  It is written atomically, and its digest is checked when it is read, so
that a damaged or truncated entry counts as missing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from suture.errors import DISK_FULL, Refusal
from suture.host.files import write_atomic
from suture.host.progress import note
from suture.workspace.command import Compilation


@dataclass(frozen=True, slots=True)
class Stored:
    """An object, and the command that made it."""

    compilation: Compilation
    content: bytes


def key(parts: Iterable[str | bytes]) -> str:
    """Return a name for the result of `parts`."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode(errors="surrogateescape")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def load(directory: Path, name: str) -> Stored | None:
    """Return the object of that name; None if it is missing or damaged."""
    body = load_bytes(directory, name)
    if body is None:
        return None
    header, _, content = body.partition(b"\n")
    return Stored(compilation(header), content)


def compilation(header: bytes) -> Compilation:
    """Read a `Compilation` from the JSON of `dataclasses.asdict`."""
    fields = json.loads(header)
    steps = tuple(tuple(step) for step in fields["steps"])
    return Compilation(fields["object"], fields["source"], steps, tuple(fields["dependencies"]))


def load_bytes(directory: Path, name: str) -> bytes | None:
    """Return the content kept by `save_bytes`; None if it is missing or damaged."""
    try:
        digest, _, body = _path(directory, name).read_bytes().partition(b"\n")
    except OSError:
        return None
    return body if hashlib.sha256(body).hexdigest().encode() == digest else None


def save(directory: Path, name: str, stored: Stored) -> None:
    """Keep an object."""
    save_bytes(
        directory, name, json.dumps(asdict(stored.compilation)).encode() + b"\n" + stored.content
    )


def save_bytes(directory: Path, name: str, body: bytes) -> None:
    """Keep an entry.  On a full disk nothing is kept: the next run makes the result again."""
    try:
        digest = hashlib.sha256(body).hexdigest().encode()
        write_atomic(_path(directory, name), digest + b"\n" + body, durable=False)
    except Refusal as refusal:
        if refusal.kind is not DISK_FULL:
            raise
        note("No space left to cache compiled objects; they will be compiled again next time")


def _path(directory: Path, name: str) -> Path:
    return directory / name[:2] / name[2:]
