# SPDX-License-Identifier: GPL-2.0-or-later
"""Start and end of each command: exit status 0, or 1 with the reason on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from suture.errors import Refusal
from suture.host import failures, paths
from suture.host.terminal import printable

Main = Callable[[Sequence[str]], int]


class Died(Exception):
    """The command failed; the message is in the words of the original."""


def run(main: Main, words: Sequence[str], prefix: str) -> int:
    """Run a command and return its exit status.

    :param prefix: the prefix of messages on stderr: ``kpatch: ``, ``ERROR: ``.
    """
    failures.end_like_ctrl_c()
    paths.share_with_group()
    with failures.surviving_streams():
        try:
            with failures.refused(words):
                try:
                    return main(words)
                except Died as died:
                    print(f"{prefix}{died}", file=sys.stderr)
                    return 1
        except Refusal as refusal:
            print(f"{prefix}{refusal}", file=sys.stderr)
    return 1


def say(text: str) -> None:
    """Print a line and flush it, since scripts read along."""
    print(printable(text), flush=True)
