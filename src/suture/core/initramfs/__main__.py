# SPDX-License-Identifier: GPL-2.0-or-later
"""What the hook runs while an image is made: ``python -m suture.core.initramfs RELEASE
DESTINATION``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from suture.core.initramfs.fill import fill


def main(words: Sequence[str]) -> int:
    """The hook's part; an image is made in any case: one without live patches boots."""
    release, destination = words
    for said in fill(release, Path(destination)):
        print(f"suture: {said}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
