# SPDX-License-Identifier: GPL-2.0-or-later
"""What becomes of live patches with another kernel: ``python3 -I -m suture.core.upgrade RELEASE``,
which package upgrades run (`suture.core.system_hooks`).

For each live patch that is kept for other kernels:

- The new kernel keeps one of the same name already.
- It has the fix itself, as its record in the store or its package's changelog says; the latter is
  written down, so that 'suture status' knows it after the reboot.
- Its module carries its sources, so that 'suture rebuild' can build it for the new kernel.
- It has no successor.

Nothing that fails here may fail an upgrade.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from suture.core import changelog, running
from suture.core.changelog import ChangelogItem
from suture.core.host import newer_kernel
from suture.core.running import ROOT
from suture.core.store import Store, StoreEntry, in_order
from suture.core.system_hooks import start_rebuild
from suture.core.unprotected import entries_of
from suture.elf import reader
from suture.errors import NOT_INSTALLED, Refusal
from suture.host.terminal import printable
from suture.model import Fix
from suture.module import carried, notes
from suture.module.fixes import parse_note

PENDING = Path("/run/suture-upgrade")
"""The releases of kernels that were installed in this run of the package manager, one a line."""


class SuccessionKind(StrEnum):
    """What becomes of one live patch."""

    KEPT = "kept"
    FIXED = "fixed"
    REBUILDABLE = "rebuildable"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Succession:
    """One live patch and another kernel.

    :ivar origin: the newest kernel that it is kept for.
    :ivar because: how that is known, or why it has no successor.
    """

    name: str
    origin: str
    kind: SuccessionKind
    because: str
    fixes: tuple[Fix, ...] = ()

    @property
    def is_missing(self) -> bool:
        """Whether the new kernel would be without it."""
        return self.kind in (SuccessionKind.REBUILDABLE, SuccessionKind.LOST)

    def line(self) -> str:
        """What becomes of it, for people."""
        words = {
            SuccessionKind.KEPT: "is kept for it already",
            SuccessionKind.FIXED: f"is not needed: {self.because}",
            SuccessionKind.REBUILDABLE: "can be built again",
            SuccessionKind.LOST: f"has no successor: {self.because}",
        }
        return printable(f"{self.name} (for {self.origin}) {words[self.kind]}")


def successions(
    release: str, store: Store | None = None, root: Path = ROOT
) -> tuple[Succession, ...]:
    """Return what becomes of the live patches that are kept for other kernels, in the order in
    which boots load them.

    :raises Refusal: ``path-untrusted``
    """
    kept = store or Store()
    there, fixed = kept.names(release), kept.fixed(release)
    news = cache(lambda origin: new_items(origin, release, root))
    found = []
    for entry in _origins(kept, release):
        if entry.name in there:
            kind, because, fixes = SuccessionKind.KEPT, "", tuple[Fix, ...]()
        elif entry.name in fixed:
            kind, because, fixes = SuccessionKind.FIXED, fixed[entry.name].because, ()
        else:
            kind, because, fixes = _judged(kept, entry, news)
        found.append(Succession(entry.name, entry.release, kind, because, fixes))
    return tuple(found)


def chosen(found: Sequence[Succession], names: Sequence[str]) -> list[Succession]:
    """Return those of the given names; without names, all.

    :raises Refusal: ``not-installed``
    """
    known = {one.name for one in found}
    for name in names:
        if name not in known:
            raise Refusal(NOT_INSTALLED, name, "is not installed for another kernel")
    return [one for one in found if not names or one.name in names]


def record(release: str, found: Sequence[Succession], store: Store | None = None) -> None:
    """Write down which live patches a kernel does not need.

    :raises Refusal: ``store-unwritable``, ``path-untrusted``
    """
    kept = store or Store()
    known = kept.fixed(release)
    for one in found:
        if one.kind is SuccessionKind.FIXED and one.name not in known:
            kept.record_fixed(release, one.name, one.because)


def report(release: str, found: Sequence[Succession]) -> list[str]:
    """Return what becomes of all of them, for people; nothing where nothing is kept."""
    if not found:
        return []
    missing = [one.name for one in found if one.is_missing]
    lines = [f"Live patches and {release}:", *(f"  {one.line()}" for one in found)]
    if any(one.kind is SuccessionKind.REBUILDABLE for one in found):
        lines.append(f"  'suture rebuild --kernel {release}' builds, tests and installs them.")
    if missing:
        lines.append(f"  After a reboot into it, {', '.join(missing)} will be missing.")
    return lines


def _origins(store: Store, release: str) -> Iterator[StoreEntry]:
    """Yield each live patch of other kernels once, as the newest of these keeps it."""
    newest: dict[str, StoreEntry] = {}
    for other in sorted(store.releases(), key=running.order):
        for entry in entries_of(store, other) if other != release else ():
            newest[entry.name] = entry
    yield from sorted(newest.values(), key=in_order)


def _judged(
    store: Store, entry: StoreEntry, news: Callable[[str], tuple[ChangelogItem, ...]]
) -> tuple[SuccessionKind, str, tuple[Fix, ...]]:
    try:
        module = reader.read(store.module(entry), entry.module_file)
    except Refusal as refusal:
        return SuccessionKind.LOST, f"its module is unusable ({refusal.code})", ()
    fixes = parse_note(notes.contents(module), module.machine.prefix)
    if because := changelog.evidence(fixes, news(entry.release)):
        return SuccessionKind.FIXED, because, fixes
    if carried.source_of(module):
        return SuccessionKind.REBUILDABLE, "", fixes
    return SuccessionKind.LOST, "its module carries no sources", fixes


def new_items(old: str, new: str, root: Path = ROOT) -> tuple[ChangelogItem, ...]:
    """Return what a kernel's changelog has and that of another one has not.

    A CVE number that the old one names too may be of a fix that was not enough; the live patch then
    completes it.
    """
    after = changelog.version_of(changelog.read(old, root))
    return tuple(changelog.items(changelog.read(new, root), after))


def main(words: Sequence[str]) -> int:
    """Say what a kernel that was just installed means; with ``--at-end``, what all of them do.

    :return: 0, whatever happens
    """
    try:
        if words == ["--at-end"]:
            _at_end()
        elif words:
            _told(words[0])
            with suppress(OSError), PENDING.open("a") as file:
                file.write(f"{words[0]}\n")
    except Exception as error:  # a package must be configured all the same
        print(f"suture: what becomes of live patches is not known: {error}", file=sys.stderr)
    return 0


def _told(release: str) -> None:
    found = successions(release)
    with suppress(Refusal):
        record(release, found)
    for line in report(release, found):
        print(line)


def _at_end() -> None:
    """Say it again where it is not followed by pages of other output: for the newest kernel."""
    installed = PENDING.read_text().split() if PENDING.exists() else []
    PENDING.unlink(missing_ok=True)
    if not installed:
        return
    release = newer_kernel() or running.release()
    found = successions(release)
    if any(one.is_missing for one in found):
        print(*report(release, found), sep="\n")
    if any(one.kind is SuccessionKind.REBUILDABLE for one in found) and start_rebuild():
        print("  It has begun: 'journalctl -fu suture-rebuild' shows how it goes on.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
