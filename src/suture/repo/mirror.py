# SPDX-License-Identifier: GPL-2.0-or-later
"""Copies a repository to a directory that hosts can follow in its place: a server nearer to them,
or a USB stick for those without a network.

Everything is verified from the given root on before it is written, and written byte for byte as it
was signed, so that hosts verify the copy as they would the original.  Files and metadata of their
own names come first and ``timestamp.json`` last.  An existing copy is what the mirror has seen: a
source that serves older metadata is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuf.api.exceptions import DownloadHTTPError
from tuf.api.metadata import Metadata, TargetFile, Targets
from tuf.ngclient import Updater

from suture.errors import METADATA_UNTRUSTED, Refusal
from suture.host import files
from suture.repo import documents
from suture.repo.client import consulted, refused, signed_at
from suture.repo.fetching import NOT_FOUND, RepositoryFetcher

SEEN = ".seen"
"""The file of a mirror with what it has seen of its source."""


@dataclass(frozen=True, slots=True)
class Mirrored:
    """A mirror that is up to date.

    :ivar files: the published files; `fetched` of them were not there before.
    :ivar signed: when the newest metadata was made.
    """

    directory: Path
    files: int
    fetched: int
    signed: str


@dataclass(slots=True)
class LastSeen:
    """What was seen of a source; whoever copies it writes that down when all of it is there.

    :ivar path: the file.
    """

    path: Path
    content: bytes = field(default=b"")

    def read(self) -> bytes:
        """Return what was seen."""
        self.content = self.path.read_bytes() if self.path.exists() else b""
        return self.content

    def write(self, content: bytes) -> None:
        """Keep it until all is there."""
        self.content = content


def mirror(url: str, directory: Path, root: bytes, proxy: str = "") -> Mirrored:
    """Copy a repository, or bring a copy up to date.

    :param root: the root metadata from which the source is verified.
    :raises Refusal: as `suture.repo.client.consulted`, ``file-unreadable``, ``disk-full``
    """
    with files.locked(directory / ".lock"):
        return _mirror(url, directory, root, RepositoryFetcher(proxy))


def _mirror(url: str, directory: Path, root: bytes, fetcher: RepositoryFetcher) -> Mirrored:
    seen = LastSeen(directory / SEEN)
    metadata = directory / "metadata"
    with consulted(url, "", "", root, seen, fetcher) as found:
        updater = found.updater
        targets = list(_targets(updater, url))
        found.times()
        fetched = sum(_copy_target(updater, url, target, directory) for target in targets)
        trusted = updater._trusted_set
        base = f"{url.rstrip('/')}/metadata/"
        for number in range(1, trusted.root.version + 1):
            _copy_root(fetcher, url, f"{base}{number}.root.json", metadata)
        for name, meta in trusted.snapshot.meta.items():
            role = name.removesuffix(".json")
            if role in trusted:
                _copy(updater, role, metadata / f"{meta.version}.{name}")
        number = trusted.snapshot.version
        _copy(updater, "snapshot", metadata / f"{number}.snapshot.json")
        _copy(updater, "timestamp", metadata / "timestamp.json")
        signed = signed_at(trusted.timestamp)
    files.write_atomic(directory / SEEN, seen.content)
    return Mirrored(directory, len(targets), fetched, documents.stamp(signed) if signed else "")


def _targets(updater: Updater, url: str) -> Iterator[TargetFile]:
    """Yield all files that any role vouches for, each role verified."""
    top = updater._trusted_set.targets
    yield from top.targets.values()
    for role in top.delegations.roles or {} if top.delegations else {}:
        with refused(url):
            below: Targets = updater._load_targets(role, "targets")
        yield from below.targets.values()


def _copy_target(updater: Updater, url: str, target: TargetFile, directory: Path) -> bool:
    """Copy a file, unless it is there.  Return whether it was not."""
    digest = target.hashes.get("sha256")
    parts = target.path.split("/")
    if digest is None or any(part in ("", ".", "..") for part in parts):
        raise Refusal(METADATA_UNTRUSTED, target.path, "is not the path of a file with a SHA-256")
    place = directory.joinpath("targets", *parts[:-1], f"{digest}.{parts[-1]}")
    with suppress(OSError):
        if hashlib.sha256(place.read_bytes()).hexdigest() == digest:
            return False
    with files.temporary_directory() as work:
        with refused(url):
            updater.download_target(target, str(work / "file"))
        files.write_atomic(place, (work / "file").read_bytes())
    return True


def _copy_root(fetcher: RepositoryFetcher, url: str, address: str, metadata: Path) -> None:
    """Copy a root by itself: hosts begin with any of them, and verify the next from it."""
    place = metadata / address.rpartition("/")[2]
    if place.exists():
        return
    try:
        with refused(url):
            content = fetcher.download_bytes(address, 512_000)
            Metadata.from_bytes(content)
    except Refusal as refusal:
        cause: Any = refusal.__cause__
        if isinstance(cause, DownloadHTTPError) and cause.status_code == NOT_FOUND:
            return  # a mirror of a mirror that began later
        raise
    files.write_atomic(place, content)


def _copy(updater: Updater, role: str, place: Path) -> None:
    """Write verified metadata as it was downloaded."""
    content = updater._load_local_metadata(role)
    if not place.exists() or place.read_bytes() != content:
        files.write_atomic(place, content)
