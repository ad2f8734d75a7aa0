# SPDX-License-Identifier: GPL-2.0-or-later
"""The source of a kernel that is here for another one.

The flavours of a version are built from one source package: 6.1.0-55-amd64, 6.1.0-55-cloud-amd64
and 6.1.0-55-rt-amd64 of 6.1.192-1.  It is two thirds of what is downloaded for each.  A target
records the digests of its packages, as the signed index has them; a target with a source package
of the same digest gets a link to the same file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from suture.host.kernel_names import MANIFEST
from suture.host.paths import caches


def link(package: str, sha256: str, into: Path, below: Path) -> bool:
    """Link the source from a target with the same package.

    :param package: the name of its file; `sha256`: its digest.
    :param into: the place of the new target.
    :param below: the path of the source below ``source`` of a target.
    :return: whether there was one.
    """
    for path in with_package(package, sha256):
        place = into / "source" / below
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, place)
        except OSError:  # another file system, or a file of another user (protected_hardlinks)
            continue
        return True
    return False


def with_package(package: str, sha256: str) -> Iterator[Path]:
    """Yield the sources of the targets that record this package, if they have their size.

    :param package: the name of its file; `sha256`: its digest.
    """
    found = [path for one in caches() for path in (one / "kernels").glob(f"*/*/{MANIFEST}")]
    for manifest in sorted(found):
        try:
            document = json.loads(manifest.read_text(encoding="utf-8"))
            described = document["parts"]["source"]
            path = manifest.parent / str(described["path"])
            is_same = document["packages"][package] == sha256
            if is_same and path.stat().st_size == described["size"]:
                yield path
        except (OSError, ValueError, KeyError, TypeError):
            continue
