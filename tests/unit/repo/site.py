# SPDX-License-Identifier: GPL-2.0-or-later
"""A repository with all its keys, live patches for it, and a host in memory that follows it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from securesystemslib.signer import Key, Signer

from suture.core import checks
from suture.core.following import FollowingFile
from suture.core.store import Store
from suture.errors import ALREADY_LOADED, EARLIER_FIX_LOST, Refusal
from suture.host.files import write_atomic
from suture.repo import keys, publishing, roles
from suture.repo.fetching import RepositoryFetcher
from suture.repo.follow import FollowOutcome, run
from suture.repo.host import KeptModule
from suture.repo.publishing import Accompaniment, RingOrder
from suture.repo.roles import FirstRoles, Holders
from suture.repo.settings import FollowSettings
from suture.repo.settling import Settlement
from suture.repo.tree import RepositoryTree
from tests.unit.core.test_replacing import RELEASE, module

NAMES = (
    *("root1", "root2", "root3", "targets1", "targets2"),
    *("release1", "release2", "ring", "online", "other"),
)


@cache
def fix(name: str, function: str = "show", build: int = 1) -> bytes:
    """Return a live patch module with a build ID of its own."""
    import subprocess
    import tempfile

    with tempfile.TemporaryDirectory() as work:
        plain, linked = Path(work, "plain.o"), Path(work, "linked.ko")
        plain.write_bytes(module(name, function))
        command = ["ld", "-r", f"--build-id=0x{build:040x}", "-o", str(linked), str(plain)]
        subprocess.run(command, check=True)
        return linked.read_bytes()


@dataclass(frozen=True)
class Site:
    """A repository: root 2 of 3, targets 2 of 2, patches 2 of 2, and one key for both rings."""

    path: Path
    keys: Mapping[str, Path]
    release: str = RELEASE

    @classmethod
    def make(cls, directory: Path, release: str = RELEASE) -> Site:
        """Make and publish it."""
        made = {name: keys.new_key(directory / "keys", name).private for name in NAMES}
        site = cls(directory / "repository", made, release)
        first = FirstRoles(
            site.holders("root1", "root2", "root3", threshold=2),
            site.holders("targets1", "targets2", threshold=2),
            site.holders("online"),
            site.holders("release1", "release2", threshold=2),
            site.holders("ring"),
            (release,),
            ("canary", "all"),
        )
        roles.create(site.path, first, site.signers(*NAMES[:-1]))
        return site

    def copy(self, path: Path) -> Site:
        """Return a copy, which shares the keys."""
        shutil.copytree(self.path, path)
        return Site(path, self.keys)

    @property
    def tree(self) -> RepositoryTree:
        return RepositoryTree(self.path)

    @property
    def root(self) -> bytes:
        """The root metadata that hosts are given first."""
        return (self.path / "metadata" / "1.root.json").read_bytes()

    def public(self, name: str) -> Key:
        return keys.read_public(self.keys[name].with_suffix(".pub"))

    def holders(self, *names: str, threshold: int = 1) -> Holders:
        return Holders(tuple(map(self.public, names)), threshold)

    def signers(self, *names: str) -> list[Signer]:
        return [keys.signer_of(str(self.keys[name])) for name in names]

    def publish(self, content: bytes, *by: str, beside: Accompaniment | None = None) -> Settlement:
        signers = self.signers(*(by or ("release1", "release2", "online")))
        return publishing.publish(self.tree, content, "fix.ko", beside or Accompaniment(), signers)[
            1
        ]

    def withdraw(self, name: str, *by: str) -> Settlement:
        signers = self.signers(*(by or ("release1", "release2", "online")))
        return publishing.withdraw(self.tree, self.release, name, "it is wrong", signers)[1]

    def promote(self, name: str | None, ring: str = "canary", **order: object) -> None:
        given = replace(RingOrder(name), **order)  # type: ignore[arg-type]
        publishing.promote(self.tree, ring, self.release, given, self.signers("ring", "online"))

    def halt(self, halted: bool = True, ring: str = "canary") -> None:
        publishing.halt(self.tree, ring, self.release, halted, self.signers("ring", "online"))


@dataclass
class ToyHost:
    """A host whose kernel is a file that a reboot empties; its store is a real one."""

    directory: Path
    release: str = RELEASE
    machine_id: str = "0123456789abcdef"
    refusing: dict[str, Refusal] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.directory / "lib").mkdir(parents=True, exist_ok=True, mode=0o755)
        (self.directory / "boot").write_text("first") if not self._boot.exists() else None

    @property
    def _boot(self) -> Path:
        return self.directory / "boot"

    @property
    def boot_id(self) -> str:
        return self._boot.read_text()

    @property
    def store(self) -> Store:
        return Store(self.directory / "lib/suture", anchor=self.directory, owner=os.geteuid())

    @property
    def file(self) -> FollowingFile:
        return FollowingFile(self.directory / "lib/suture", self.directory, os.geteuid())

    def in_force(self) -> Mapping[str, str]:
        kernel = self.directory / "kernel"
        found: dict[str, str] = json.loads(kernel.read_text()) if kernel.exists() else {}
        return found

    def kept(self) -> Mapping[str, KeptModule]:
        entries = [self.store.entry(self.release, name) for name in self.store.names(self.release)]
        return {entry.name: KeptModule(entry.name, entry.sha256, False) for entry in entries}

    def load(self, module: bytes, where: str, *, replace: bool) -> None:
        read = checks.read(module, where)
        self.asked.append(f"load {read.name}")
        if read.name in self.refusing:
            raise self.refusing[read.name]
        if self.in_force().get(read.name) == read.build_id:
            raise Refusal(ALREADY_LOADED, read.name, "is loaded")
        if self.in_force() and not replace and "lossy" in read.name:
            raise Refusal(EARLIER_FIX_LOST, where, "it would replace others")
        self._set({read.name: read.build_id})

    def unload(self, name: str) -> None:
        self.asked.append(f"unload {name}")
        if f"unload {name}" in self.refusing:
            raise self.refusing[f"unload {name}"]
        self._set({other: build for other, build in self.in_force().items() if other != name})

    def install(self, module: bytes, where: str) -> None:
        read = checks.read(module, where)
        self.store.install(module, self.release, read.name, replaces=True, origin=where)

    def uninstall(self, name: str) -> None:
        self.store.uninstall(self.release, name)

    def reboot(self) -> None:
        """Boot anew: the store's live patches come into force."""
        self._boot.write_text(f"{self.boot_id}+")
        entries = self.store.entries(self.release)
        self._set({})
        for entry in entries:
            read = checks.read(self.store.module(entry), entry.origin)
            self._set({read.name: read.build_id})  # each replaces all before it

    def _set(self, in_force: Mapping[str, str]) -> None:
        write_atomic(self.directory / "kernel", json.dumps(in_force).encode())

    def follow(self, site: Site | str, *, dry: bool = False, **given: object) -> FollowOutcome:
        """Follow a repository once."""
        url = f"file://{site.path}" if isinstance(site, Site) else site
        pace = {name: given.pop(name) for name in ("base", "slowest") if name in given}
        root = given.pop("root", site.root if isinstance(site, Site) else b"")
        settings = replace(
            FollowSettings(url, "canary", root),  # type: ignore[arg-type]
            **given,  # type: ignore[arg-type]
        )
        return run(
            settings,
            self,
            self.file,
            dry=dry,
            fetcher=lambda: RepositoryFetcher(settings.proxy, **pace),  # type: ignore[arg-type]
            lock_file=self.directory / "follow.lock",
        )


def codes(outcome: FollowOutcome) -> Sequence[str]:
    return [refusal.code for refusal in outcome.refusals]
