# SPDX-License-Identifier: GPL-2.0-or-later
"""Modules that ``kpatch`` calls installed: those of ``suture install`` and those in kpatch's own
directory.

Packages and Ansible roles put modules below ``/var/lib/kpatch/RELEASE`` themselves, so Suture reads
that directory, but does not write to it.  Only root may be able to change it
(`suture.core.trusted`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from suture.core import trusted
from suture.core.certificates import trusted_certificates
from suture.core.store import MODULE, Store, StoreEntry, set_aside
from suture.module import signature

DIRECTORY = Path("/var/lib/kpatch")


@dataclass(frozen=True, slots=True)
class Kept:
    """An installed module.

    :ivar where: the module's file.
    :ivar entry: the store's entry; None for a file in kpatch's directory.
    """

    name: str
    release: str
    where: Path
    entry: StoreEntry | None = None


@dataclass(frozen=True, slots=True)
class Installation:
    """The two places with installed modules.

    :ivar anchor: the trusted directory above them (`suture.core.trusted.open_directory`).
    :ivar owner: the user who must own everything in them.
    """

    store: Store = field(default_factory=Store)
    directory: Path = DIRECTORY
    anchor: Path = Path("/")
    owner: int = 0

    def releases(self) -> list[str]:
        """Releases of kernels with installed modules.  :raises Refusal: ``path-untrusted``"""
        try:
            with self._open() as top:
                of_files = {name for name in top.names() if top.is_directory(name)}
        except FileNotFoundError:
            of_files = set()
        return sorted(of_files | set(self.store.releases()))

    def modules(self, release: str) -> list[Kept]:
        """A kernel's installed modules, in load order.

        :raises Refusal: ``store-damaged``, ``path-untrusted``
        """
        entries = self.store.entries(release)
        found = [
            Kept(one.name, release, self.store.path / release / one.module_file, one)
            for one in entries
        ]
        try:
            with self._open(release) as directory:
                files = sorted(name for name in directory.names() if name.endswith(MODULE))
        except FileNotFoundError:
            files = []
        return found + [
            Kept(module_name(file), release, self.directory / release / file) for file in files
        ]

    def find(self, name: str, release: str) -> Kept | None:
        """Find a module by its name or its file's name.  :raises Refusal: as `modules`"""
        return next((one for one in self.modules(release) if one.name == module_name(name)), None)

    def content(self, kept: Kept) -> bytes:
        """Read an installed module after all checks.

        :raises Refusal: ``set-aside``, ``store-damaged``, ``path-untrusted``, and as
            `signature.check`
        """
        if kept.entry is None:
            with self._open(kept.release) as directory:
                return directory.read(kept.where.name)
        tries = self.store.tries(kept.entry)
        if tries.set_aside:
            raise set_aside(kept.entry, tries)
        content = self.store.module(kept.entry)
        if kept.entry.require_signature:
            signature.check(content, kept.entry.origin, trusted_certificates())
        return content

    def _open(self, *parts: str) -> trusted.Directory:
        return trusted.open_directory(
            self.directory.joinpath(*parts), anchor=self.anchor, owner=self.owner
        )


def module_name(file: str) -> str:
    """The module name of a file: ``livepatch-fix.ko`` contains ``livepatch_fix``."""
    return Path(file).name.removesuffix(MODULE).replace("-", "_")
