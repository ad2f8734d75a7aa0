# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds live patches that are kept for other kernels alone.

After an upgrade a host boots another kernel, for which nothing may be kept: whatever was fixed by
live patches is open again, unless the new kernel has the fix itself.  A live patch counts as
accounted for where the running kernel

- keeps one of the same name,
- has one of that name in force, or others that bring all of its fixes, or
- is recorded to have the fix itself (`suture.core.store.FixedRecord`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from suture.core import running
from suture.core.store import Store, StoreEntry
from suture.elf import reader
from suture.errors import Refusal
from suture.model import Fix
from suture.module import notes
from suture.module.fixes import parse_note


@dataclass(frozen=True, slots=True)
class Unprotected:
    """A live patch that the running kernel has nothing of.

    :ivar releases: the kernels that it is kept for.
    :ivar fixes: what it is for, as its newest module says.
    """

    name: str
    releases: tuple[str, ...]
    fixes: tuple[Fix, ...] = ()

    @property
    def cves(self) -> tuple[str, ...]:
        """The vulnerabilities that it closes elsewhere, and that may be open here."""
        return tuple(dict.fromkeys(cve for fix in self.fixes for cve in fix.cves))


def unprotected(
    in_force: Collection[str],
    fixes: Collection[Fix] = (),
    store: Store | None = None,
    release: str = "",
) -> tuple[Unprotected, ...]:
    """Return the live patches that are kept for other kernels alone, sorted by name.

    :param in_force: the names of those that are in force.
    :param fixes: what these bring.
    :param release: by default the running kernel's.
    """
    kept, now = store or Store(), release or running.release()
    with suppress(Refusal):  # of the store as a whole, which 'suture store check' shows
        known = {*in_force, *kept.names(now), *kept.fixed(now)}
        elsewhere = _by_name(kept, now)
        found = (
            _unprotected(kept, name, entries)
            for name, entries in sorted(elsewhere.items())
            if name not in known
        )
        return tuple(one for one in found if not are_covered(one.fixes, fixes))
    return ()


def lacking(release: str, store: Store | None = None) -> tuple[str, ...]:
    """Return the names of the live patches that a boot of another kernel would be without."""
    kept = store or Store()
    with suppress(Refusal):
        brought = [fix for entry in entries_of(kept, release) for fix in fixes_of(kept, entry)]
        return tuple(one.name for one in unprotected((), brought, kept, release))
    return ()


def entries_of(store: Store, release: str) -> Iterator[StoreEntry]:
    """Yield the enabled entries of a kernel that can be read.  :raises Refusal:
    ``path-untrusted``"""
    for name in store.names(release):
        with suppress(Refusal):
            entry = store.entry(release, name)
            if entry.enabled:
                yield entry


def fixes_of(store: Store, entry: StoreEntry) -> tuple[Fix, ...]:
    """Return what a kept live patch is for; nothing where its module cannot be read."""
    try:
        module = reader.read(store.module(entry), entry.module_file)
    except Refusal:
        return ()
    return parse_note(notes.contents(module), module.machine.prefix)


def are_covered(wanted: Collection[Fix], fixes: Collection[Fix]) -> bool:
    """Whether `fixes` contain all that are wanted; without any, nobody can say so."""
    return bool(wanted) and all(any(_is_same(one, other) for other in fixes) for one in wanted)


def _is_same(wanted: Fix, other: Fix) -> bool:
    if wanted.commit and wanted.commit == other.commit:
        return True
    if wanted.title and wanted.title == other.title:
        return True
    return bool(wanted.cves) and set(wanted.cves) <= set(other.cves)


def _by_name(store: Store, now: str) -> dict[str, list[StoreEntry]]:
    found: dict[str, list[StoreEntry]] = {}
    for release in store.releases():
        for entry in entries_of(store, release) if release != now else ():
            found.setdefault(entry.name, []).append(entry)
    return found


def _unprotected(store: Store, name: str, entries: Sequence[StoreEntry]) -> Unprotected:
    newest = max(entries, key=lambda entry: running.order(entry.release))
    releases = sorted((entry.release for entry in entries), key=running.order)
    return Unprotected(name, tuple(releases), fixes_of(store, newest))
