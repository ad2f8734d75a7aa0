# SPDX-License-Identifier: GPL-2.0-or-later
"""What a boot does with the live patches that are kept for it: ``python3 -I -m suture.core.boot``.

Early, before the network (`boot`), for each entry that is enabled, in order:

1. A boot that died with live patches is held against the one that was being loaded; if none was,
   against those that no boot has come up with yet; if there are none of those, against all that it
   had.
2. One that failed twice in a row is set aside.  The module of any other is read and shown to be
   what was installed.
3. That this boot tries it is written down, durably.  If nothing more is ever written, the host died
   with it.
4. It is loaded as ``suture load`` does, with everything that is checked there.

Late, when the host is up (``--confirm``, `confirm`): this boot has come up with what it loaded, and
the next one starts counting anew.

Nothing that happens here keeps the host from booting, and no entry keeps the next from being
loaded. ``suture.disable=1`` on the kernel command line skips all of it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from suture.core import load, running
from suture.core.certificates import trusted_certificates
from suture.core.change import Options
from suture.core.running import ROOT, text
from suture.core.store import Store, StoreEntry, Tries, in_order, set_aside
from suture.errors import (
    ALREADY_LOADED,
    ANOTHER_AT_WORK,
    CHANGE_INTERRUPTED,
    FTRACE_DISABLED,
    HOOK_REFUSED,
    JOURNAL_UNWRITABLE,
    LIVEPATCH_UNSUPPORTED,
    MEMORY_SHORT,
    MODULES_DISABLED,
    NOT_PRIVILEGED,
    TRANSITION_UNDER_WAY,
    Refusal,
)
from suture.module import signature

SWITCH = ("suture.disable", "suture.disable=1")
"""Words on the kernel command line that disable loading."""

NOT_ITS_FAULT = (
    ANOTHER_AT_WORK,
    CHANGE_INTERRUPTED,
    FTRACE_DISABLED,
    HOOK_REFUSED,
    JOURNAL_UNWRITABLE,
    LIVEPATCH_UNSUPPORTED,
    MEMORY_SHORT,
    MODULES_DISABLED,
    NOT_PRIVILEGED,
    TRANSITION_UNDER_WAY,
)
"""Refusals that are not about the live patch: they do not count as its failure."""

DIED = "the boot did not complete"


class State(StrEnum):
    """The result of an attempt to load an entry."""

    IN_FORCE = "in force"
    SET_ASIDE = "set aside"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class BootResult:
    """What became of one entry; `refusal` says why where it is not in force."""

    name: str
    state: State
    refusal: Refusal | None = None

    def line(self) -> str:
        """The result as text for the log."""
        return f"{self.name}: {self.state.value}" + (f"\n{self.refusal}" if self.refusal else "")


def disabled(root: Path = ROOT) -> bool:
    """Whether the kernel command line says to load nothing."""
    return bool(set(SWITCH) & set(text(root / "proc/cmdline").split()))


def boot(store: Store | None = None, options: Options | None = None) -> Iterator[BootResult]:
    """Load the live patches installed for the running kernel."""
    kept, chosen = store or Store(), options or Options()
    release, now = running.release(), running.boot_id()
    entries: list[StoreEntry] = []
    for name in kept.names(release):
        try:
            entries.append(kept.entry(release, name))
        except Refusal as refusal:
            yield BootResult(name, State.FAILED, refusal)
    entries = sorted((entry for entry in entries if entry.enabled), key=in_order)
    yield from _hold_against(kept, entries, now)
    for entry in entries:
        try:
            yield _try(kept, entry, now, chosen)
        except Refusal as refusal:
            yield BootResult(entry.name, State.FAILED, refusal)


def _hold_against(store: Store, entries: Sequence[StoreEntry], now: str) -> Iterator[BootResult]:
    """Charge a boot that died before it was confirmed to its entries.

    `_try` reports entries with an unreadable record.
    """
    died: list[tuple[StoreEntry, Tries]] = []
    for entry in entries:
        with suppress(Refusal):
            tries = store.tries(entry)
            if tries.boot not in ("", now):
                died.append((entry, tries))
    guilty = (
        [entry for entry, tries in died if tries.loading]
        or [entry for entry, tries in died if not tries.good]
        or [entry for entry, _ in died]
    )
    for entry, tries in died:
        counted = replace(tries, failed=tries.failed + 1, reason=DIED) if entry in guilty else tries
        try:
            store.record(entry, replace(counted, boot="", loading=False))
        except Refusal as refusal:
            yield BootResult(entry.name, State.FAILED, refusal)


def confirm(store: Store | None = None) -> None:
    """Record that this boot has succeeded with the live patches it loaded.

    :raises Refusal: ``store-unwritable``, ``store-damaged``, ``path-untrusted``: the first, after
        all had their turn
    """
    kept = store or Store()
    release, now = running.release(), running.boot_id()
    refused: list[Refusal] = []
    for name in kept.names(release):
        try:
            entry = kept.entry(release, name)
        except Refusal:
            continue  # it was not loaded either
        try:
            if kept.tries(entry).boot == now:
                kept.record(entry, Tries(good=True))
        except Refusal as refusal:
            refused.append(refusal)
    if refused:
        raise refused[0]


def _try(store: Store, entry: StoreEntry, now: str, options: Options) -> BootResult:
    """Load one entry, and record the attempt if it counts.

    :raises Refusal: any obstacle; the attempt is recorded first if it counts
    """
    before = store.tries(entry)
    if before.set_aside:
        return BootResult(entry.name, State.SET_ASIDE, set_aside(entry, before))
    content = store.module(entry)
    if entry.require_signature:
        signature.check(content, entry.origin, trusted_certificates())
    store.record(entry, replace(before, boot=now, loading=True))
    try:
        # What replaces what was decided when it was installed.
        whole = replace(options, replace=True, cause="boot")
        load.load(content, str(store.path / entry.release / entry.name), whole)
    except Refusal as refusal:
        if refusal.kind is ALREADY_LOADED:  # from the initramfs
            return _in_force(store, entry, before, now)
        failed = before.failed + (refusal.kind not in NOT_ITS_FAULT)
        counted = Tries(failed, _short(refusal), good=before.good)
        store.record(entry, counted)
        return BootResult(
            entry.name, State.SET_ASIDE if counted.set_aside else State.FAILED, refusal
        )
    return _in_force(store, entry, before, now)


def _in_force(store: Store, entry: StoreEntry, before: Tries, now: str) -> BootResult:
    with suppress(
        Refusal
    ):  # where this cannot be written, a boot that dies will be held against it
        store.record(entry, replace(before, boot=now))
    return BootResult(entry.name, State.IN_FORCE)


def _short(refusal: Refusal) -> str:
    return str(refusal).partition("\n")[0]


def main(words: Sequence[str]) -> int:
    """Load what is installed, or confirm the boot.

    :return: 0 if all enabled live patches are in force
    """
    try:
        return _confirmed() if words == ["--confirm"] else _booted()
    except Refusal as refusal:  # of the store as a whole
        print(refusal, file=sys.stderr)
        return 1


def _confirmed() -> int:
    confirm()
    return 0


def _booted() -> int:
    if disabled():
        print("suture.disable is on the kernel command line: loading no live patches", flush=True)
        return 0
    good = True
    for result in boot():
        print(result.line(), file=sys.stdout if result.refusal is None else sys.stderr, flush=True)
        good = good and result.state is State.IN_FORCE
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
