# SPDX-License-Identifier: GPL-2.0-or-later
"""A repository's directory, as those who publish have it.

``metadata`` and ``targets`` are what hosts download, and all that a web server needs.  ``staged``
has the next versions of metadata that lack signatures still: files that holders of keys sign one
after the other, on this host or on another.

What is published hangs on ``timestamp.json``: it names the snapshot, which names the versions of
all other metadata, and metadata names files by their hashes.  So files come first, under names that
nothing refers to yet, and ``timestamp.json`` last: a command that is killed before has published
nothing.  Only a root stands by itself; it is written right before the timestamp.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from securesystemslib.exceptions import StorageError
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization.json import JSONSerializer

from suture.errors import (
    REPOSITORY_DAMAGED,
    REPOSITORY_MISSING,
    ROLE_UNKNOWN,
    STAGED_OUTDATED,
    Refusal,
)
from suture.host import files
from suture.host.files import cannot_write

AnyTargets = Metadata[Targets]
Part = TypeVar("Part", Root, Timestamp, Snapshot, Targets)

SIGNED_AT = "x-suture-signed"
"""The field of all metadata with the time at which it was made, UTC, ISO 8601: a host's clock that
is earlier is wrong."""

DAYS = "x-suture-days"
"""The field with the days that each version lives."""

TOP = ("root", "targets", "snapshot", "timestamp")


@dataclass(frozen=True, slots=True)
class PublishedState:
    """What hosts can download: all metadata, of which `timestamp` is the newest.

    :ivar root: None before the first root is published; then nothing else is either.
    :ivar roles: ``targets`` and the roles that it delegates to.
    """

    root: Metadata[Root] | None = None
    timestamp: Metadata[Timestamp] | None = None
    snapshot: Metadata[Snapshot] | None = None
    roles: Mapping[str, AnyTargets] = field(default_factory=dict)

    def version(self, role: str) -> int:
        """Return the published version of a role; 0 for none."""
        top: Mapping[str, Metadata[Any] | None] = {
            "root": self.root,
            "timestamp": self.timestamp,
            "snapshot": self.snapshot,
        }
        found = top[role] if role in top else self.roles.get(role)
        return 0 if found is None else int(found.signed.version)


@dataclass(frozen=True, slots=True)
class RepositoryTree:
    """The directory."""

    path: Path

    @property
    def metadata(self) -> Path:
        """Where the published metadata is."""
        return self.path / "metadata"

    @property
    def targets(self) -> Path:
        """Where the published files are."""
        return self.path / "targets"

    @property
    def staging(self) -> Path:
        """Where metadata waits for signatures."""
        return self.path / "staged"

    @property
    def exists(self) -> bool:
        """Whether it has a root, published or staged."""
        return any(self.metadata.glob("*.root.json")) or (self.staging / "root.json").exists()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Be the only command that changes the repository, during the block.

        :raises Refusal: ``repository-missing``
        """
        self.check()
        with files.locked(self.path / ".lock"):
            yield

    def check(self) -> None:
        """Refuse a directory that is no repository.  :raises Refusal: ``repository-missing``"""
        if not self.exists:
            raise Refusal(REPOSITORY_MISSING, str(self.path), "has no root metadata")

    def published(self) -> PublishedState:
        """Read what is published.

        :raises Refusal: ``repository-damaged``, ``file-unreadable``
        """
        versions = [
            int(path.name.partition(".")[0])
            for path in self.metadata.glob("*.root.json")
            if path.name.partition(".")[0].isdigit()
        ]
        if not versions:
            return PublishedState()
        root = self._part(Root, self.metadata / f"{max(versions)}.root.json")
        place = self.metadata / "timestamp.json"
        if not place.exists():
            return PublishedState(root)
        timestamp = self._part(Timestamp, place)
        number = timestamp.signed.snapshot_meta.version
        snapshot = self._part(Snapshot, self.metadata / f"{number}.snapshot.json")
        roles = {
            name.removesuffix(".json"): self._part(
                Targets, self.metadata / f"{meta.version}.{name}"
            )
            for name, meta in snapshot.signed.meta.items()
        }
        return PublishedState(root, timestamp, snapshot, roles)

    def staged(self, published: PublishedState) -> dict[str, Metadata[Any]]:
        """Read what waits for signatures, by role.

        What a killed command had published already is removed.

        :raises Refusal: ``repository-damaged``, ``staged-outdated``
        """
        found: dict[str, Metadata[Any]] = {}
        for path in sorted(self.staging.glob("[!.]*.json")):
            role = path.name.removesuffix(".json")
            metadata: Metadata[Any] = (
                self._part(Root, path) if role == "root" else self._part(Targets, path)
            )
            there = published.root if role == "root" else published.roles.get(role)
            if there is not None and there.signed == metadata.signed:
                self.drop(role)
                continue
            if metadata.signed.version <= published.version(role):
                about = f"is version {metadata.signed.version}, after {published.version(role)}"
                raise Refusal(STAGED_OUTDATED, str(path), about)
            found[role] = metadata
        return found

    def stage(self, role: str, metadata: Metadata[Any]) -> Path:
        """Write metadata that is to be signed, and return where."""
        path = self.staging / f"{role}.json"
        files.write_atomic(path, as_bytes(metadata))
        return path

    def drop(self, role: str) -> None:
        """Remove staged metadata.  :raises Refusal: ``role-unknown``"""
        path = self.staging / f"{role}.json"
        try:
            path.unlink()
        except FileNotFoundError:
            raise Refusal(ROLE_UNKNOWN, role, f"nothing is staged in {self.staging}") from None
        except OSError as error:
            raise cannot_write(path, error) from error

    def publish(self, name: str, metadata: Metadata[Any]) -> None:
        """Write metadata where hosts download it.

        :param name: such as ``3.targets.json``.
        """
        files.write_atomic(self.metadata / name, as_bytes(metadata))

    def add(self, target: str, content: bytes) -> str:
        """Write a file where hosts download it, and return its SHA-256."""
        digest = hashlib.sha256(content).hexdigest()
        directory, _, name = target.rpartition("/")
        files.write_atomic(self.targets / directory / f"{digest}.{name}", content)
        return digest

    def read(self, target: str, digest: str) -> bytes:
        """Read a published file.

        :raises Refusal: ``repository-damaged``, ``file-unreadable``
        """
        directory, _, name = target.rpartition("/")
        path = self.targets / directory / f"{digest}.{name}"
        content = files.read_bytes(path)
        if hashlib.sha256(content).hexdigest() != digest:
            raise Refusal(REPOSITORY_DAMAGED, str(path), "is not what its name says")
        return content

    def _part(self, kind: type[Part], path: Path) -> Metadata[Part]:
        content = files.read_bytes(path)
        return parsed(kind, content, str(path))


def parsed(kind: type[Part], content: bytes, where: str) -> Metadata[Part]:
    """Read metadata.  :raises Refusal: ``repository-damaged``"""
    try:
        found: Metadata[Part] = Metadata.from_bytes(content)
    except (RepositoryError, StorageError, RecursionError) as error:
        raise Refusal(REPOSITORY_DAMAGED, where, f"cannot be read: {error}") from error
    if not isinstance(found.signed, kind):
        raise Refusal(REPOSITORY_DAMAGED, where, f"is metadata of the type {found.signed.type}")
    return found


def as_bytes(metadata: Metadata[Any]) -> bytes:
    """Return the bytes of metadata as hosts download them; people can read them too."""
    return metadata.to_bytes(JSONSerializer(compact=False))
