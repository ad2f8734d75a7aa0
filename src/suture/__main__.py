# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m suture`` is ``suture``."""

from __future__ import annotations

import sys

from suture.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
