# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture`` and ``python -m suture``."""

from __future__ import annotations

import signal
import sys


def run() -> int:
    """The program.  Until its parts are loaded there is nothing to clean up: Ctrl-C ends it as it
    ends any program."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from suture.cli.app import main

    return main()


if __name__ == "__main__":
    sys.exit(run())
