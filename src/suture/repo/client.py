# SPDX-License-Identifier: GPL-2.0-or-later
"""What a repository says, verified: the client's side of The Update Framework, by python-tuf's
ngclient.

1. What this host has seen of the repository is laid out in a temporary directory (`MemoryFile`).
2. ngclient downloads what is newer: roots one after the other, timestamp, snapshot, ``targets``,
   and the roles of this host's ring and kernel.  Anything older than what was seen, or not signed
   by those who have to, or not of one snapshot, is refused.
3. What was accepted is remembered, durably, also where a later file was refused.

Metadata says when it was made.  A clock that is earlier is wrong: expiry is judged by the later of
the two, so that setting a host's clock back does not make old metadata new.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from tuf.api.exceptions import (
    DownloadError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    RepositoryError,
    SlowRetrievalError,
)
from tuf.api.metadata import Metadata, Root, TargetFile, Timestamp
from tuf.ngclient import Updater, UpdaterConfig

from suture.errors import (
    DOWNLOAD_TOO_LONG,
    DOWNLOAD_TOO_SLOW,
    FOLLOW_STATE_DAMAGED,
    METADATA_EXPIRED,
    METADATA_UNTRUSTED,
    REPOSITORY_UNREACHABLE,
    RING_UNKNOWN,
    Refusal,
)
from suture.host import files
from suture.repo import documents
from suture.repo.documents import (
    PATCHES_ROLE,
    RING_ROLE,
    ChosenPatch,
    PublishedPatch,
    RingChoice,
    Withdrawals,
)
from suture.repo.fetching import RepositoryFetcher
from suture.repo.tree import SIGNED_AT

LARGEST_MODULE = 64 << 20
"""Bytes, as `suture.core.trusted.LARGEST`."""

LARGEST_DOCUMENT = 1 << 20

HISTORY, DOCUMENTS = "root_history", "documents"
"""Directories beside the metadata that was seen: ngclient's, and ours with documents by hash."""


class MemoryFile(Protocol):
    """Where what was seen of a repository is kept."""

    def read(self) -> bytes:
        """Return what was written last; b"" for nothing."""

    def write(self, content: bytes) -> None:
        """Write it so that it is there wholly or not at all."""


@dataclass(frozen=True, slots=True)
class RepositoryTimes:
    """What the metadata that was accepted says of time.

    :ivar signed: when its timestamp was made.
    :ivar expires: when the first of it expires: from then on nothing new is loaded.
    :ivar patches_expire: when the release role's does; None where the repository has none.
    :ivar now: the time that expiry was judged by.
    """

    signed: datetime
    expires: datetime
    patches_expire: datetime | None
    now: datetime


class Consultation:
    """A repository that was asked once.  `consulted` makes it."""

    def __init__(
        self, updater: Updater, work: Path, url: str, ring: str, release: str, now: datetime
    ) -> None:
        self.updater = updater
        self.documents = work / DOCUMENTS
        self.used: set[Path] = set()
        self._now = now
        self.url = url
        self.ring = ring
        self.release = release

    def choice(self) -> RingChoice | None:
        """Return what the ring has chosen for the kernel; None for nothing yet.

        :raises Refusal: ``ring-unknown``, and as `consulted`
        """
        path = documents.choice_path(self.ring, self.release)
        content = self._document(path)
        if content is None:
            if not self._has_role(f"{RING_ROLE}{self.ring}"):
                raise Refusal(RING_UNKNOWN, self.url, f"it has no ring {self.ring}")
            return None
        choice = RingChoice.parse(content, path)
        if (choice.ring, choice.release) != (self.ring, self.release):
            raise Refusal(METADATA_UNTRUSTED, path, "is the choice of another ring or kernel")
        return choice

    def patch(self, name: str) -> PublishedPatch | None:
        """Return a live patch that the release role vouches for; None for none of the name.

        :raises Refusal: as `consulted`
        """
        path = documents.patch_path(self.release, name, ".json")
        content = self._document(path)
        target = self._target(documents.patch_path(self.release, name))
        if content is None or target is None:
            return None
        patch = PublishedPatch.parse(content, path)
        is_right = (patch.release, patch.name) == (self.release, name)
        if not is_right or target.hashes.get("sha256") != patch.sha256:
            raise Refusal(METADATA_UNTRUSTED, path, "is about another live patch")
        return patch

    def vouches_for(self, chosen: ChosenPatch) -> PublishedPatch | None:
        """Return the live patch that a ring has chosen, if the release role vouches for it."""
        patch = self.patch(chosen.name)
        return patch if patch is not None and patch.sha256 == chosen.sha256 else None

    def withdrawals(self) -> Withdrawals:
        """Return what was withdrawn for the kernel.  :raises Refusal: as `consulted`"""
        path = documents.withdrawn_path(self.release)
        content = self._document(path)
        return Withdrawals(self.release) if content is None else Withdrawals.parse(content, path)

    def module(self, patch: PublishedPatch) -> bytes:
        """Download a live patch's module.  :raises Refusal: as `consulted`"""
        path = documents.patch_path(self.release, patch.name)
        content = self._content(path)
        if content is None or hashlib.sha256(content).hexdigest() != patch.sha256:
            raise Refusal(METADATA_UNTRUSTED, path, "is not what the release role vouches for")
        return content

    def times(self) -> RepositoryTimes:
        """Return what the accepted metadata says of time.

        :raises Refusal: ``metadata-expired``
        """
        trusted = self.updater._trusted_set
        known = [trusted[role] for role in trusted._trusted_set]
        for signed in known:
            if signed.is_expired(self._now):
                found = f"its {signed.type} metadata expired at {signed.expires:%Y-%m-%d %H:%M} UTC"
                raise Refusal(METADATA_EXPIRED, self.url, found)
        patches = trusted.get(f"{PATCHES_ROLE}{self.release}")
        return RepositoryTimes(
            signed_at(trusted.timestamp) or self._now,
            min(signed.expires for signed in known),
            patches.expires if patches is not None else None,
            self._now,
        )

    def _document(self, path: str) -> bytes | None:
        """Return a document: what was seen of the same hash, or else downloaded."""
        target = self._target(path)
        if target is None:
            return None
        place = self.documents / f"{target.hashes.get('sha256', '')}.json"
        self.used.add(place)
        if self.updater.find_cached_target(target, str(place)) is None:
            self._download(target, place, LARGEST_DOCUMENT)
        return place.read_bytes()

    def _content(self, path: str) -> bytes | None:
        target = self._target(path)
        if target is None:
            return None
        with files.temporary_directory() as work:
            self._download(target, work / "file", LARGEST_MODULE)
            return (work / "file").read_bytes()

    def _download(self, target: TargetFile, place: Path, largest: int) -> None:
        if target.length > largest:
            raise Refusal(METADATA_UNTRUSTED, target.path, f"would have {target.length} bytes")
        with refused(self.url):
            self.updater.download_target(target, str(place))

    def forget_others(self) -> None:
        """Remove documents that nobody asked for any more."""
        for path in self.documents.glob("*"):
            if path not in self.used:
                path.unlink()

    def _target(self, path: str) -> TargetFile | None:
        with refused(self.url):
            return self.updater.get_targetinfo(path)

    def _has_role(self, role: str) -> bool:
        targets = self.updater._trusted_set.targets
        return role in ((targets.delegations and targets.delegations.roles) or {})


@contextmanager
def consulted(
    url: str,
    ring: str,
    release: str,
    root: bytes,
    memory: MemoryFile,
    fetcher: RepositoryFetcher | None = None,
) -> Iterator[Consultation]:
    """Ask a repository, during the block.

    :param url: of the directory with ``metadata`` and ``targets``: ``https:``, ``http:``,
        ``file:``.
    :param root: the root metadata that this host was given.
    :raises Refusal: ``repository-unreachable``, ``download-too-slow``, ``download-too-long``,
        ``metadata-untrusted``, ``metadata-expired``, ``follow-state-damaged``
    """
    base = url if url.endswith("/") else f"{url}/"
    seen = memory.read()
    with files.temporary_directory() as work:
        _lay_out(seen, work)
        now = max(filter(None, (documents.now(), newest_signed(work))))
        try:
            with refused(url):
                updater = _updater(base, work, root, fetcher or RepositoryFetcher())
                updater._trusted_set.reference_time = now
                updater.refresh()
                later = signed_at(updater._trusted_set.timestamp)
            judged = max(filter(None, (now, later)))
            found = Consultation(updater, work, url, ring, release, judged)
            yield found
            found.times()
            found.forget_others()
        finally:
            kept = _gathered(work)
            if kept != seen:
                memory.write(kept)


def _updater(base: str, work: Path, root: bytes, fetcher: RepositoryFetcher) -> Updater:
    return Updater(
        str(work),
        f"{base}metadata/",
        target_base_url=f"{base}targets/",
        fetcher=fetcher,
        config=UpdaterConfig(max_delegations=8),
        bootstrap=root,
    )


@contextmanager
def refused(where: str) -> Iterator[None]:
    """Turn what python-tuf says into refusals."""
    try:
        yield
    except SlowRetrievalError as error:
        raise Refusal(DOWNLOAD_TOO_SLOW, where, _words(error)) from error
    except DownloadLengthMismatchError as error:
        raise Refusal(DOWNLOAD_TOO_LONG, where, _words(error)) from error
    except DownloadError as error:
        raise Refusal(REPOSITORY_UNREACHABLE, where, _words(error)) from error
    except ExpiredMetadataError as error:
        raise Refusal(METADATA_EXPIRED, where, _words(error)) from error
    except (RepositoryError, RecursionError) as error:
        raise Refusal(METADATA_UNTRUSTED, where, _words(error)) from error


def _words(error: BaseException) -> str:
    """Return the first line of what went wrong; where python-tuf only says that something did, of
    what that came from."""
    text = str(error)
    if error.__cause__ is not None and (not text or text.startswith("Failed to download")):
        text = f"{text}: {error.__cause__}"
    return text.splitlines()[0] if text else type(error).__name__


def _lay_out(seen: bytes, work: Path) -> None:
    """Write what was seen into the directory, as ngclient has it."""
    if not seen:
        return
    try:
        listed: Mapping[str, str] = json.loads(seen)
        items = [(str(name), str(content)) for name, content in listed.items()]
    except (ValueError, AttributeError, RecursionError):
        raise Refusal(FOLLOW_STATE_DAMAGED, "the metadata seen", "cannot be read") from None
    for directory in (HISTORY, DOCUMENTS):
        (work / directory).mkdir()
    for name, content in items:
        place = (work / name).resolve()
        if place.parent in (work, work / HISTORY, work / DOCUMENTS):
            place.write_text(content)


def _gathered(work: Path) -> bytes:
    """Return what ngclient has in its directory, as one file."""
    paths = [path for path in work.rglob("*.json") if path.is_file() and not path.is_symlink()]
    listed = {str(path.relative_to(work)): path.read_text() for path in sorted(paths)}
    return json.dumps(listed).encode()


def newest_signed(work: Path) -> datetime | None:
    """Return when the timestamp that was seen was made, if the newest root's keys have signed it.

    Keys that somebody had stolen may have signed times of the next century: where a newer root has
    other keys, these count for nothing.
    """
    numbers = [
        int(path.name.partition(".")[0]) for path in work.glob(f"{HISTORY}/[0-9]*.root.json")
    ]
    if not numbers or not (work / "timestamp.json").exists():
        return None
    with suppress(RepositoryError, ValueError, RecursionError):
        root: Metadata[Root] = Metadata.from_file(str(work / HISTORY / f"{max(numbers)}.root.json"))
        timestamp: Metadata[Timestamp] = Metadata.from_file(str(work / "timestamp.json"))
        root.signed.verify_delegate("timestamp", timestamp.signed_bytes, timestamp.signatures)
        return signed_at(timestamp.signed)
    return None


def signed_at(signed: Any) -> datetime | None:
    """Return when metadata was made, as it says; never later than it lives."""
    text = signed.unrecognized_fields.get(SIGNED_AT)
    if not isinstance(text, str):
        return None
    try:
        expires: datetime = signed.expires
        return min(documents.moment(text, SIGNED_AT), expires)
    except Refusal:
        return None
