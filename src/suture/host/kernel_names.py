# SPDX-License-Identifier: GPL-2.0-or-later
"""The names of the kernels that are here or on offer, without a look at the kernels.

Shell completion asks for them while the user types.  `suture.sources` takes longer to import, and
longer still to read package lists: the names that the last survey found are kept in a file.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from suture.errors import Refusal
from suture.host.files import write_atomic
from suture.host.paths import cache, caches

MANIFEST = "target.json"
"""What makes the directory ``kernels/RELEASE/VERSION`` a target (`suture.sources.store`)."""

OFFERED = ".offered"
"""The file: one release on each line, in the order of the survey."""


def fetched_names() -> list[str]:
    """Return the releases of the kernels that were fetched, sorted; one that is damaged counts
    too."""
    found = [path for one in caches() for path in (one / "kernels").glob(f"*/*/{MANIFEST}")]
    return sorted({path.parent.parent.name for path in found})


def offered_names() -> list[str]:
    """Return the releases that the last survey found; none if there was no survey."""
    for one in caches():
        try:
            return (one / OFFERED).read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError):
            continue
    return []


def keep_offered(releases: Iterable[str]) -> None:
    """Keep the releases of a survey, where that is possible."""
    names = list(dict.fromkeys(releases))
    if names != offered_names():
        with suppress(Refusal):
            text = "".join(f"{name}\n" for name in names)
            write_atomic(cache() / OFFERED, text.encode(), durable=False)
