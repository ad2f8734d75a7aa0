# SPDX-License-Identifier: GPL-2.0-or-later
"""How each of these commands begins and ends: status 0, or 1 with the reason on stderr behind the
command's name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from suture.errors import Refusal
from suture.host import failures
from suture.host.terminal import printable

Main = Callable[[Sequence[str]], int]


class Died(Exception):
    """What the command cannot do, in the words of the original."""


def run(main: Main, words: Sequence[str], prefix: str) -> int:
    """:param prefix: of what is said on stderr: ``kpatch: ``, ``ERROR: ``."""
    failures.end_like_ctrl_c()
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
    """At once, since scripts read along."""
    print(printable(text), flush=True)
