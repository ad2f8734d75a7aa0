# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages of Debian's that a guest needs: downloaded and unpacked, not installed, so that this
host stays as it is."""

from __future__ import annotations

import tempfile
from pathlib import Path

from debian.debian_support import Version

from suture.host import files, paths, run
from suture.sources import apt


def unpacked(*names: str) -> Path:
    """The newest of each that apt offers, all in one tree, which stays in the cache."""
    offered = apt.packages(f"({'|'.join(names)})")
    chosen = [
        max((p for p in offered if p.name == name), key=lambda p: Version(p.version))
        for name in names
    ]
    cache = paths.cache()
    final = (
        cache
        / "lab"
        / "_".join(["debs", *(f"{package.name}-{package.version}" for package in chosen)])
    )
    with files.locked(final.parent / "debs.lock"):
        if not final.exists():
            apt.download(chosen, cache / "packages")
            with tempfile.TemporaryDirectory(prefix=files.TEMPORARY, dir=final.parent) as work:
                for package in chosen:
                    run.check(
                        [
                            "dpkg-deb",
                            "--extract",
                            cache / "packages" / package.file_name,
                            Path(work, "tree"),
                        ]
                    )
                Path(work, "tree").rename(final)
    return final
