# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs need before they are timed: packages that are here, and patches that nobody has
built."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from suture.host.paths import cache
from suture.sources import Offer, apt
from suture.sources.debian import DebianOffer


def bring_packages(offer: Offer, have: Path, wanted: Path) -> None:
    """Take the packages of a kernel from a directory that has some of them, and download the
    others."""
    assert isinstance(offer, DebianOffer)
    wanted.mkdir(parents=True, exist_ok=True)
    for package in offer.packages:
        source, linked = have / package.file_name, wanted / package.file_name
        if source.exists() and not linked.exists():
            os.link(source, linked)
    apt.download(offer.packages, wanted, offer.archives)


STRING = "VMALLOCCHUNK"
"""What the demonstration's patch prints."""


def new_patches(text: str, scratch: Path, count: int) -> Iterator[Path]:
    """Yield patches that nobody has built: a text in which `STRING` becomes one of the same length
    of their own."""
    for number in range(count):
        patch = scratch / f"round{number}.patch"
        patch.write_text(text.replace(STRING, f"BENCH{os.getpid() % 10**6:06d}{number}"))
        yield patch


def forget_objects() -> None:
    """Remove the compiled objects of all workspaces in the cache."""
    for kept in (cache() / "workspaces").glob("*/objects"):
        shutil.rmtree(kept)
