# SPDX-License-Identifier: GPL-2.0-or-later
"""Text for a terminal or a pipe.  Rich is imported only when something is printed."""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 2000
"""Columns where no terminal sets them: lines are for grep then, and must not be folded."""


def console(*, stderr: bool) -> Console:
    """Return Rich's console on stdout or stderr."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, legacy_windows=False)


@cache
def has_rich() -> bool:
    """Tell whether Rich is here.  A host that only loads live patches may do without: terminals
    then get what pipes get."""
    return find_spec("rich") is not None


def wants_colours() -> bool | None:
    """Tell whether the environment asks for colours; None where a terminal shall have them.  Rich
    reads the same variables."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("dumb", "unknown"):
        return False
    return True if os.environ.get("FORCE_COLOR") else None


def printable(text: str) -> str:
    """Return `text` with control characters escaped: names in a patch or an object file must not
    control the terminal."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text
    )
