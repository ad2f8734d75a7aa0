# SPDX-License-Identifier: GPL-2.0-or-later
"""Installs and uninstalls live patches for the next boots: one change at a time, each recorded in
the journal."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from suture.core import change, checks, lock, replacing, running, system_hooks, units
from suture.core.certificates import trusted_certificates
from suture.core.change import Options
from suture.core.replacing import EarlierFunction
from suture.core.store import Store, StoreEntry, in_order
from suture.core.unprotected import entries_of
from suture.errors import NOT_PRIVILEGED, Refusal
from suture.module import signature
from suture.module.inspect import Inspection

OPERATIONS = ("install", "uninstall", "enable", "disable", "prune")
"""The journal's names for the changes in this module."""


@dataclass(frozen=True, slots=True)
class Installed:
    """An installed live patch.

    :ivar units: whether the systemd units had to be created.
    :ivar hooks: files for other programs that were created with them (`suture.core.system_hooks`).
    """

    entry: StoreEntry
    units: bool
    hooks: tuple[str, ...] = ()


def install(
    data: bytes,
    where: str,
    *,
    enabled: bool = True,
    require_signature: bool = False,
    store: Store | None = None,
    options: Options | None = None,
) -> Installed:
    """Install the live patch module `data` for the kernel that it names.

    :param where: the file it came from.
    :param require_signature: require a signature now and at each boot (`suture.module.signature`).
    :raises Refusal: ``not-privileged``, ``not-a-live-patch``, ``object-malformed``, what
        `suture.core.units.ensure`, `suture.module.signature.check` and `Store.install` refuse,
        ``earlier-fix-lost``, ``another-at-work``, ``journal-unwritable``
    """
    chosen, kept = options or Options(), store or Store()
    inspection = checks.read(data, where).inspection
    name = inspection.patch.name
    _as_root(f"installing {name}")
    if require_signature:
        signature.check(data, where, trusted_certificates())
    details = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "release": inspection.release,
        "enabled": enabled,
    }
    with (
        lock.held(f"install {name}", wait=chosen.wait),
        change.recorded(chosen.journal, "install", name, details) as outcome,
    ):
        if enabled and not chosen.replace:
            lost = _lost_functions(kept, inspection)
            replacing.refuse_lost(lost, where)
        made = units.ensure()
        # Only with the units: hooks that were taken away later stay away.
        hooks = system_hooks.enable() if made else ()
        entry = kept.install(
            data,
            inspection.release,
            name,
            replaces=inspection.patch.replace,
            origin=change.origin(where),
            enabled=enabled,
            require_signature=require_signature,
        )
        outcome.result = "installed"
    return Installed(entry, made, hooks)


def _lost_functions(store: Store, inspection: Inspection) -> tuple[EarlierFunction, ...]:
    """Return the functions of enabled live patches for which the same boot would load this one and
    take them back; what cannot be read is not loaded either."""
    patch, entries = inspection.patch, []
    with suppress(Refusal):  # installing refuses a store that cannot be trusted
        entries = list(entries_of(store, inspection.release))
    lost: list[EarlierFunction] = []
    for entry in sorted(entries, key=in_order):
        if entry.name == patch.name:
            break  # it keeps its place: those behind it are loaded after it
        with suppress(Refusal):
            earlier = checks.read(store.module(entry), entry.module_file).inspection.patch
            lost += replacing.lost_from_model(patch, earlier)
    return tuple(lost)


def uninstall(
    release: str, name: str, *, store: Store | None = None, options: Options | None = None
) -> None:
    """Uninstall a live patch, so that boots no longer load it.

    :raises Refusal: ``not-privileged``, ``not-installed``, ``store-unwritable``,
        ``path-untrusted``, ``another-at-work``, ``journal-unwritable``
    """
    chosen = options or Options()
    _as_root(f"uninstalling {name}")
    with (
        lock.held(f"uninstall {name}", wait=chosen.wait),
        change.recorded(chosen.journal, "uninstall", name, {"release": release}) as outcome,
    ):
        (store or Store()).uninstall(release, name)
        outcome.result = "uninstalled"


def set_enabled(
    release: str,
    name: str,
    enabled: bool,
    *,
    store: Store | None = None,
    options: Options | None = None,
) -> StoreEntry:
    """Set whether boots load a live patch.  One that was set aside gets a new start.

    :raises Refusal: as `uninstall`, ``store-damaged``
    """
    chosen = options or Options()
    doing = "enable" if enabled else "disable"
    _as_root(f"changing {name}")
    with (
        lock.held(f"{doing} {name}", wait=chosen.wait),
        change.recorded(chosen.journal, doing, name, {"release": release}) as outcome,
    ):
        entry = (store or Store()).set_enabled(release, name, enabled)
        outcome.result = f"{doing}d"
    return entry


def prune(*, store: Store | None = None, options: Options | None = None) -> list[str]:
    """Remove what killed runs left behind, and live patches for kernels that this host no longer
    has.  Return the paths.

    :raises Refusal: as `uninstall`
    """
    chosen, kept = options or Options(), store or Store()
    _as_root("pruning the store")
    with lock.held("prune the store", wait=chosen.wait):
        needless = [release for release in kept.releases() if not has_kernel(release)]
        with change.recorded(
            chosen.journal, "prune", ", ".join(needless), {"releases": needless}
        ) as outcome:
            removed = kept.prune(needless)
            outcome.result = "pruned"
            outcome.details |= {"removed": removed}
    return removed


def became(name: str, release: str, store: Store | None = None) -> str:
    """The state of an entry after an interrupted change, which is either complete or not made."""
    kept = store or Store()
    if name not in kept.names(release):
        return "not-kept"
    return "enabled" if kept.entry(release, name).enabled else "disabled"


def is_loaded_at_boot(name: str, store: Store | None = None) -> bool:
    """Whether the next boot of the running kernel loads the live patch, as far as this user can
    see."""
    kept, now = store or Store(), running.release()
    try:
        return name in kept.names(now) and kept.entry(now, name).enabled
    except Refusal:
        return False


def has_kernel(release: str, root: Path = running.ROOT) -> bool:
    """Whether this host still has a kernel, judging by its files and the running kernel."""
    places = (root / f"lib/modules/{release}", root / f"boot/vmlinuz-{release}")
    return release == running.release(root) or any(place.exists() for place in places)


def _as_root(doing: str) -> None:
    if os.geteuid() != 0:
        raise Refusal(NOT_PRIVILEGED, doing, "only root may change what boots load")
