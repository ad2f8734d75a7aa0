# SPDX-License-Identifier: GPL-2.0-or-later
"""What the programs of the bench have in common: where they print, and how they end."""

from __future__ import annotations

import sys
from collections.abc import Callable

from bench.measure import Failed
from suture.cli import output
from suture.errors import Refusal
from suture.host.progress import reporter
from suture.host.reporters import for_stderr


def ended(work: Callable[[], int], *, json: bool) -> int:
    """Do the work of a program and return its exit status: 1, with the reason printed, where
    something is refused or a command that was to be timed failed.

    :param json: print documents.
    """
    output.json_wanted.set(json)
    reporter.set(for_stderr())
    try:
        return work()
    except Refusal as refusal:
        output.refuse(refusal)
    except Failed as failed:
        print(failed, file=sys.stderr)
    return 1
