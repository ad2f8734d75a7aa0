# SPDX-License-Identifier: GPL-2.0-or-later
"""The live patches installed for the next boots, below ``/var/lib/suture``.

``RELEASE/NAME.json`` is the manifest of an entry.  It names the module file by its hash,
``RELEASE/SHA256.ko``, so that a single rename, of the manifest, replaces the old entry.
``RELEASE/NAME.boot`` records what happened at boot (`suture.core.boot`), and ``RELEASE/NAME.fixed``
that this kernel has the fix itself, so that it needs no such live patch.  A killed run can leave
module files and temporary files that no manifest names; they are never used, and `prune` removes
them.

Nothing depends on the clock: entries are loaded in the order of their numbers, and times are only
for people.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from suture.core import journal, running, trusted
from suture.core.trusted import Directory
from suture.errors import NOT_INSTALLED, SET_ASIDE, STORE_DAMAGED, Refusal
from suture.host import paths
from suture.host.files import TEMPORARY, read_bytes

FORMAT = 1

MANIFEST, MODULE, BOOT, FIXED = ".json", ".ko", ".boot", ".fixed"

TRIES = 2
"""Failed boots in a row before a live patch is set aside."""

T = TypeVar("T", "StoreEntry", "Tries", "FixedRecord")

_RELEASE = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+~-]*")
_NAME = re.compile(r"[0-9A-Za-z_]+")
_SHA256_WORD = re.compile(r"[0-9a-f]{64}")


def _sha256(content: bytes) -> str:
    """Hexadecimal.  The import brings OpenSSL, which what only lists the entries can do without."""
    import hashlib

    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, slots=True)
class StoreEntry:
    """One installed live patch.

    :ivar release: the kernel that it is for.
    :ivar sha256: the module file's hash, hexadecimal.
    :ivar replace: whether it replaces all earlier live patches.
    :ivar order: entries are loaded from the lowest number up.
    :ivar require_signature: whether loading it requires a signature by a trusted key
        (`suture.module.signature`).
    :ivar when: the time of installation, UTC, ISO 8601; for people.
    :ivar by: the user who installed it.
    :ivar origin: the file that it came from.
    """

    release: str
    name: str
    sha256: str
    replace: bool
    enabled: bool
    order: int
    require_signature: bool
    when: str
    by: str
    origin: str

    @property
    def module_file(self) -> str:
        """The name of the module's file."""
        return self.sha256 + MODULE


@dataclass(frozen=True, slots=True)
class Tries:
    """What happened to an entry at boot.

    :ivar failed: failed boots in a row.
    :ivar reason: the reason of the last failure.
    :ivar boot: the boot ID of a boot under way with it, or "".
    :ivar loading: whether that boot was still loading it when last recorded.
    :ivar good: whether it has survived a boot.
    """

    failed: int = 0
    reason: str = ""
    boot: str = ""
    loading: bool = False
    good: bool = False

    @property
    def set_aside(self) -> bool:
        """Whether too many boots in a row have failed."""
        return self.failed >= TRIES


@dataclass(frozen=True, slots=True)
class FixedRecord:
    """A kernel has the fix of a live patch itself.

    :ivar because: how that is known, such as ``6.1.187-1 names CVE-2024-1086``.
    :ivar when: the time of the record, UTC, ISO 8601; for people.
    :ivar by: the user who had it written.
    """

    because: str
    when: str
    by: str


@dataclass(frozen=True, slots=True)
class Damage:
    """A problem in the store.

    :ivar refusal: the problem; None for an unused file, which `prune` removes.
    """

    path: str
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Store:
    """The directory of installed live patches.

    :ivar anchor: the trusted directory above it (`suture.core.trusted.open_directory`).
    :ivar owner: the user who must own everything in it.
    """

    path: Path = paths.STATE
    anchor: Path = Path("/")
    owner: int = 0

    def releases(self) -> list[str]:
        """Releases of kernels with installed live patches.  :raises Refusal: ``path-untrusted``"""
        try:
            with self._open() as root:
                return [
                    name
                    for name in root.names()
                    if _RELEASE.fullmatch(name) and root.is_directory(name)
                ]
        except FileNotFoundError:
            return []

    def names(self, release: str) -> list[str]:
        """Names of a kernel's entries, readable or not.  :raises Refusal: ``path-untrusted``"""
        try:
            with self._open(release) as directory:
                return _entry_names(directory)
        except FileNotFoundError:
            return []

    def entry(self, release: str, name: str) -> StoreEntry:
        """Read the manifest of one entry.

        :raises Refusal: ``not-installed``, ``store-damaged``, ``path-untrusted``,
            ``file-unreadable``
        """
        with self._of(release, name) as directory:
            return _entry(directory, release, name)

    def entries(self, release: str) -> list[StoreEntry]:
        """A kernel's entries, in load order.

        :raises Refusal: as `entry`, for the first that cannot be read
        """
        return sorted((self.entry(release, name) for name in self.names(release)), key=in_order)

    def module(self, entry: StoreEntry) -> bytes:
        """Read an entry's module and check that it is what was installed.

        :raises Refusal: ``store-damaged``, ``path-untrusted``, ``file-unreadable``
        """
        path = str(self.path / entry.release / entry.module_file)
        with self._of(entry.release, entry.name) as directory:
            try:
                content = directory.read(entry.module_file)
            except FileNotFoundError:
                raise Refusal(
                    STORE_DAMAGED, path, f"does not exist, but {entry.name} needs it"
                ) from None
        found = _sha256(content)
        if found != entry.sha256:
            raise Refusal(
                STORE_DAMAGED, path, f"its SHA-256 is {found[:16]}..., not the one in its manifest"
            )
        return content

    def install(
        self,
        content: bytes,
        release: str,
        name: str,
        *,
        replaces: bool,
        origin: str,
        enabled: bool = True,
        require_signature: bool = False,
    ) -> StoreEntry:
        """Install a live patch module for its kernel; it replaces one of the same name and takes
        over its number.

        :raises Refusal: ``store-unwritable``, ``store-damaged`` (`release` and `name` make no
            path), ``path-untrusted``
        """
        _checked_path(release, name)
        entry = StoreEntry(
            release,
            name,
            _sha256(content),
            replaces,
            enabled,
            self._place(release, name),
            require_signature,
            datetime.now(UTC).isoformat(timespec="seconds"),
            journal.user(),
            origin,
        )
        self._open(make=True).__exit__()
        with self._open(release, make=True) as directory:
            directory.write(entry.module_file, content)
            directory.remove(name + BOOT)
            directory.write(name + MANIFEST, _manifest(entry))
            _remove_unnamed(directory, release)
        return entry

    def uninstall(self, release: str, name: str) -> None:
        """Remove an entry.

        :raises Refusal: ``not-installed``, ``store-unwritable``, ``path-untrusted``
        """
        with self._of(release, name) as directory:
            directory.remove(name + MANIFEST)
            directory.remove(name + BOOT)
            _remove_unnamed(directory, release)

    def set_enabled(self, release: str, name: str, enabled: bool) -> StoreEntry:
        """Set whether boots load it.  One that was set aside gets a new start.

        :raises Refusal: as `entry`, ``store-unwritable``
        """
        entry = replace(self.entry(release, name), enabled=enabled)
        with self._open(release) as directory:
            directory.remove(name + BOOT)
            directory.write(name + MANIFEST, _manifest(entry))
        return entry

    def tries(self, entry: StoreEntry) -> Tries:
        """Read what happened to an entry at boot.

        :raises Refusal: ``store-damaged``, ``path-untrusted``
        """
        with self._open(entry.release) as directory:
            try:
                content = directory.read(entry.name + BOOT)
            except FileNotFoundError:
                return Tries()
        path = str(self.path / entry.release / (entry.name + BOOT))
        return _made(Tries, _fields(content, path), path)

    def record(self, entry: StoreEntry, tries: Tries) -> None:
        """Record what happened to an entry at boot.

        :raises Refusal: ``store-unwritable``
        """
        with self._open(entry.release) as directory:
            directory.write(entry.name + BOOT, _json(asdict(tries)))

    def fixed(self, release: str) -> dict[str, FixedRecord]:
        """Return the live patches that a kernel does not need, by name.

        One that cannot be read is none; `check` shows it.

        :raises Refusal: ``path-untrusted``
        """
        found: dict[str, FixedRecord] = {}
        try:
            with self._open(release) as directory:
                for name in _names_of(directory, FIXED):
                    with suppress(Refusal):
                        found[name] = _fixed_record(directory, name)
        except FileNotFoundError:
            pass
        return found

    def record_fixed(self, release: str, name: str, because: str) -> FixedRecord:
        """Record that a kernel has the fix of a live patch itself.

        :raises Refusal: ``store-unwritable``, ``store-damaged`` (`release` and `name` make no
            path), ``path-untrusted``
        """
        _checked_path(release, name)
        made = FixedRecord(because, datetime.now(UTC).isoformat(timespec="seconds"), journal.user())
        self._open(make=True).__exit__()
        with self._open(release, make=True) as directory:
            directory.write(name + FIXED, _json(asdict(made)))
        return made

    def check(self) -> list[Damage]:
        """Find all problems and unused files in the store.

        :raises Refusal: ``path-untrusted``
        """
        return [finding for release in self.releases() for finding in self._check(release)]

    def prune(self, needless: list[str]) -> list[str]:
        """Remove what killed runs left behind, and all entries for the kernels `needless`.  Return
        the paths.

        :raises Refusal: ``store-unwritable``, ``path-untrusted``
        """
        removed: list[str] = []
        for release in self.releases():
            with self._open(release) as directory:
                if release in needless:
                    # Manifests first: if this is interrupted, only unnamed files remain.
                    names = sorted(directory.names(), key=lambda name: not name.endswith(MANIFEST))
                else:
                    names = list(_unnamed(directory, release))
                for name in names:
                    directory.remove(name)
                    removed.append(str(directory.path / name))
                empty = not directory.names()
            if empty:
                with self._open() as root:
                    root.remove_directory(release)
        return removed

    def _check(self, release: str) -> Iterator[Damage]:
        with self._open(release) as directory:
            for name in _unnamed(directory, release):
                yield Damage(str(directory.path / name))
            for name in _names_of(directory, FIXED):
                try:
                    _fixed_record(directory, name)
                except Refusal as refusal:
                    yield Damage(str(directory.path / (name + FIXED)), refusal)
        for name in self.names(release):
            try:
                entry = self.entry(release, name)
                self.module(entry)
                if self.tries(entry).set_aside:
                    yield Damage(
                        str(self.path / release / (name + BOOT)),
                        set_aside(entry, self.tries(entry)),
                    )
            except Refusal as refusal:
                yield Damage(str(self.path / release / (name + MANIFEST)), refusal)

    def _place(self, release: str, name: str) -> int:
        """The number of a new entry: that of the one it replaces, or the next."""
        orders = {}
        for other in self.names(release):
            try:
                orders[other] = self.entry(release, other).order
            except Refusal:
                continue  # a damaged entry must not block installing a good one
        return orders.get(name, max(orders.values(), default=0) + 1)

    def _of(self, release: str, name: str) -> Directory:
        _checked_path(release, name)
        try:
            directory = self._open(release)
        except FileNotFoundError:
            raise Refusal(NOT_INSTALLED, name, f"nothing is installed for {release}") from None
        if name + MANIFEST not in directory.names():
            directory.__exit__()
            raise Refusal(NOT_INSTALLED, name, f"is not installed for {release}")
        return directory

    def _open(self, *parts: str, make: bool = False) -> Directory:
        path = self.path.joinpath(*parts)
        return trusted.open_directory(path, anchor=self.anchor, owner=self.owner, make=make)


def named(what: Path, store: Store | None = None) -> tuple[bytes, str, bool]:
    """The module that a user means by a file, or by the bare name of one that is kept for the
    running kernel.

    A bare name never means a file: what lies in the working directory must not stand in for what
    root has installed.

    :return: its content, where it came from, and whether it is loaded only with a signature
    :raises Refusal: ``file-unreadable``, ``not-installed``, ``store-damaged``, ``path-untrusted``
    """
    name = module_name(str(what))
    if not _NAME.fullmatch(name):
        return read_bytes(what), str(what), False
    kept = store or Store()
    try:
        entry = kept.entry(running.release(), name)
    except Refusal as refusal:
        if refusal.kind is not NOT_INSTALLED:
            raise
        remedy = f"{refusal.kind.remedy} For a file here, write './{what}'."
        raise Refusal(NOT_INSTALLED, name, refusal.found, remedy=remedy) from None
    return (
        kept.module(entry),
        str(kept.path / entry.release / entry.module_file),
        entry.require_signature,
    )


def module_name(word: str) -> str:
    """A live patch's name in the kernel; users may write dashes, as for modprobe(8)."""
    return word.replace("-", "_")


def in_order(entry: StoreEntry) -> tuple[int, str]:
    """The sort key for the load order."""
    return entry.order, entry.name


def set_aside(entry: StoreEntry, tries: Tries) -> Refusal:
    """The refusal of an entry that has been set aside."""
    return Refusal(
        SET_ASIDE, entry.name, f"failed at {tries.failed} boots; the last reason: {tries.reason}"
    )


def _entry_names(directory: Directory) -> list[str]:
    return _names_of(directory, MANIFEST)


def _names_of(directory: Directory, suffix: str) -> list[str]:
    return [name.removesuffix(suffix) for name in directory.names() if name.endswith(suffix)]


def _fixed_record(directory: Directory, name: str) -> FixedRecord:
    path = str(directory.path / (name + FIXED))
    return _made(FixedRecord, _fields(directory.read(name + FIXED), path), path)


def _unnamed(directory: Directory, release: str) -> Iterator[str]:
    """Files that no manifest names; if any manifest is unreadable, only temporary files."""
    named: set[str] = set()
    whole = True
    for name in _entry_names(directory):
        named |= {name + MANIFEST, name + BOOT}
        try:
            named.add(_entry(directory, release, name).module_file)
        except Refusal:
            whole = False
    for name in directory.names():
        is_named = name in named or name.endswith(FIXED)
        if name.startswith(TEMPORARY) or (whole and not is_named):
            yield name


def _remove_unnamed(directory: Directory, release: str) -> None:
    for name in list(_unnamed(directory, release)):
        directory.remove(name)


def _entry(directory: Directory, release: str, name: str) -> StoreEntry:
    path = str(directory.path / (name + MANIFEST))
    try:
        fields = _fields(directory.read(name + MANIFEST), path)
    except FileNotFoundError:
        raise Refusal(NOT_INSTALLED, name, f"is not installed for {release}") from None
    if fields.pop("format", None) != FORMAT:
        raise Refusal(STORE_DAMAGED, path, f"is not a manifest of format {FORMAT}")
    entry = _made(StoreEntry, fields, path)
    if (entry.release, entry.name) != (release, name):
        raise Refusal(STORE_DAMAGED, path, f"is the manifest of {entry.name} for {entry.release}")
    if not _SHA256_WORD.fullmatch(entry.sha256):
        raise Refusal(STORE_DAMAGED, path, "its hash is not a SHA-256")
    return entry


def _manifest(entry: StoreEntry) -> bytes:
    return _json({"format": FORMAT, **asdict(entry)})


def _json(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, indent=1).encode() + b"\n"


def _fields(content: bytes, path: str) -> dict[str, Any]:
    try:
        fields = json.loads(content)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise Refusal(STORE_DAMAGED, path, f"is truncated or damaged ({len(content)} bytes)")
    return fields


def _made(kind: type[T], fields: dict[str, Any], path: str) -> T:
    """Make a dataclass of strings, numbers and booleans from a file's fields."""
    types = {"str": str, "int": int, "bool": bool}
    wanted = {field.name: types[str(field.type)] for field in dataclasses.fields(kind)}
    wrong = [name for name, kind_of in wanted.items() if type(fields.get(name)) is not kind_of]
    if wrong or len(fields) != len(wanted):
        raise Refusal(
            STORE_DAMAGED,
            path,
            f"it has wrong fields ({', '.join(wrong) or 'unknown ones'})",
        )
    return kind(**fields)


def _checked_path(release: str, name: str) -> None:
    for word, form in ((release, _RELEASE), (name, _NAME)):
        if not form.fullmatch(word):
            raise Refusal(STORE_DAMAGED, repr(word), "is not the name of a kernel or live patch")
