# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares the running kernel's live patches with those that its next boot would load.

The expected ones are those that `suture.core.boot` would put into force: enabled and not set aside,
and not followed by one that replaces all others.  If nothing is installed for the running kernel,
nothing is expected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from suture.core import running
from suture.errors import Refusal
from suture.host import paths
from suture.module import notes

if TYPE_CHECKING:
    from suture.core.store import Store, StoreEntry


class DriftKind(StrEnum):
    """How a live patch differs from what is installed."""

    NOT_LOADED = "not-loaded"
    OTHER_BUILD = "other-build"
    NOT_KEPT = "not-kept"
    NOT_ENABLED = "not-enabled"
    SET_ASIDE = "set-aside"
    UNREADABLE = "unreadable"


ABOUT = {
    DriftKind.NOT_LOADED: "installed for this kernel but not in force",
    DriftKind.OTHER_BUILD: "in force, but another build of the same name is installed",
    DriftKind.NOT_KEPT: "in force but not installed: the next boot does not load it",
    DriftKind.NOT_ENABLED: "in force but disabled: the next boot does not load it",
    DriftKind.SET_ASIDE: "installed but set aside: boots do not load it",
    DriftKind.UNREADABLE: "installed but unusable",
}

WAY_OUT = {
    DriftKind.NOT_LOADED: "suture load {name}",
    DriftKind.OTHER_BUILD: "suture unload {name} && suture load {name}",
    DriftKind.NOT_KEPT: "suture install FILE.ko",
    DriftKind.NOT_ENABLED: "suture enable {name}",
    DriftKind.SET_ASIDE: "suture enable {name}",
    DriftKind.UNREADABLE: "suture store check",
}


@dataclass(frozen=True, slots=True)
class Drift:
    """One live patch that differs from what is installed.

    :ivar found: details; "" if the kind says everything.
    """

    name: str
    kind: DriftKind
    found: str = ""


@dataclass(frozen=True, slots=True)
class InForce:
    """A live patch in the kernel: its build ID and, from the journal, its module's SHA-256; "" if
    not known."""

    build_id: str
    sha256: str


def drift(
    in_force: Mapping[str, InForce], store: Store | None = None, release: str = ""
) -> tuple[Drift, ...]:
    """Compare the live patches in force with those installed.

    :param in_force: by name, the live patches that the kernel runs or is switching to.
    :param release: by default the running kernel's.
    """
    now = release or running.release()
    # A store that does not exist cannot be untrusted.
    if not ((paths.STATE if store is None else store.path) / now).is_dir():
        return ()
    # Most hosts have installed nothing: their 'suture status' need not import the store.
    from suture.core.store import Store

    return _compare(in_force, store or Store(), now)


def _compare(in_force: Mapping[str, InForce], kept: Store, now: str) -> tuple[Drift, ...]:
    found: list[Drift] = []
    entries: list[StoreEntry] = []
    try:
        names = kept.names(now)
    except Refusal as refusal:
        return (Drift(now, DriftKind.UNREADABLE, _short(refusal)),)
    for name in names:
        try:
            entry = kept.entry(now, name)
            found += _of(kept, entry, in_force.get(name))
            entries.append(entry)
        except Refusal as refusal:
            found.append(Drift(name, DriftKind.UNREADABLE, _short(refusal)))
    aside = {drifted.name for drifted in found if drifted.kind is DriftKind.SET_ASIDE}
    expected = _expected([entry for entry in entries if entry.enabled and entry.name not in aside])
    found += [Drift(name, DriftKind.NOT_LOADED) for name in expected if name not in in_force]
    found += [Drift(name, DriftKind.NOT_KEPT) for name in in_force if names and name not in names]
    return tuple(sorted(found, key=lambda drifted: drifted.name))


def _expected(entries: Sequence[StoreEntry]) -> list[str]:
    """The live patches in force once all `entries` have been loaded."""
    from suture.core.store import in_order

    expected: list[str] = []
    for entry in sorted(entries, key=in_order):
        expected = [entry.name] if entry.replace else [*expected, entry.name]
    return expected


def _of(store: Store, entry: StoreEntry, now: InForce | None) -> list[Drift]:
    """Compare one installed live patch.  :raises Refusal: it is unusable"""
    from suture.core.store import set_aside

    module, tries = store.module(entry), store.tries(entry)
    if entry.enabled and tries.set_aside:
        return [Drift(entry.name, DriftKind.SET_ASIDE, set_aside(entry, tries).found)]
    if now is None:
        return []
    if not _is_same(entry, module, now):
        return [Drift(entry.name, DriftKind.OTHER_BUILD)]
    return [] if entry.enabled else [Drift(entry.name, DriftKind.NOT_ENABLED)]


def _is_same(entry: StoreEntry, module: bytes, now: InForce) -> bool:
    """Compare by the kernel's build ID, or by the journal if the module has none; if neither is
    known, assume that they are the same."""
    from suture.elf import reader

    build_id = notes.build_id_of(reader.read(module, entry.module_file))
    if build_id or now.build_id:
        return build_id == now.build_id
    return now.sha256 in ("", entry.sha256)


def _short(refusal: Refusal) -> str:
    return f"{refusal.where}: {refusal.found}"
