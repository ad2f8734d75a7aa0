# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes into an initramfs: the modules that boots of its kernel would load, shown to be what
was installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from suture.core.store import Store, StoreEntry, in_order
from suture.errors import Refusal

INSIDE = "usr/lib/suture"
"""Where the modules lie in the image, named in the order in which they are loaded."""


def fill(release: str, destination: Path, store: Store | None = None) -> Iterator[str]:
    """Put the modules for `release` into the image that is being made below `destination`; says
    what was left out."""
    kept = store or Store()
    entries: list[StoreEntry] = []
    for name in kept.names(release):
        try:
            entries.append(kept.entry(release, name))
        except Refusal as refusal:
            yield str(refusal)
    place = destination / INSIDE
    place.mkdir(parents=True, exist_ok=True)
    for number, entry in enumerate(sorted(entries, key=in_order)):
        if not entry.enabled:
            continue
        try:
            tries = kept.tries(entry)
            if not tries.good or tries.failed:
                yield (
                    f"{entry.name}: it has not survived the last boot, so the initramfs does not "
                    "include it"
                )
                continue
            (place / f"{number:04d}-{entry.name}.ko").write_bytes(kept.module(entry))
        except Refusal as refusal:
            yield str(refusal)
