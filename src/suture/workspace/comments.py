# SPDX-License-Identifier: GPL-2.0-or-later
"""Comparison of two versions of a file: do they differ in comments and white space alone?

Such a change reaches no object.  The code must be the same line by line, with the same line
numbers, which ``__LINE__`` shows, once `suture.workspace.lines` has renumbered the new version.  In
doubt, the versions differ.
"""

from __future__ import annotations

import re

from suture.workspace.lines import renumber

_TOKEN = re.compile(
    rb"""(?P<comment>//[^\n]*|/\*.*?\*/)|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'""",
    re.DOTALL,
)
_SPLICED = re.compile(rb"\\[ \t]*$")
_DOUBTFUL = re.compile(
    rb"""/\\[ \t]*\n|\*\\[ \t]*\n/|//[^\n]*\\[ \t]*\n|"""
    rb"""include\w*[ \t(]*<[^>\n]*/[/*]|\bR"|\0|\?\?/"""
)
"""Comments that begin, end or go on at a line that is joined with the next (C11, 5.1.1.2), header
names that look like them, raw strings, and what else the few rules here do not know."""

_LINE = re.compile(rb"#line (\d+)$")


def only_comments_differ(old: bytes, new: bytes) -> bool:
    """Tell whether two texts differ in comments alone."""
    if is_doubtful(old) or is_doubtful(new):
        return False
    return code(old) == code(renumber(old, new))


def is_doubtful(text: bytes) -> bool:
    """Tell whether `code` may read a text differently from the preprocessor."""
    return _DOUBTFUL.search(text) is not None


def code(text: bytes) -> list[tuple[int, bytes]]:
    """Return the lines of code with their numbers: spliced lines joined, without comments."""
    found = []
    number, first, joined = 1, 1, b""
    # A comment is one space, also where it spans lines (5.1.1.2, phase 3); \0 stands for a line end
    # within it.
    for line in _TOKEN.sub(_space, text).split(b"\n"):
        if not joined:
            first = number
        number += 1 + line.count(b"\0")
        joined += line.replace(b"\0", b"")
        if _SPLICED.search(line):
            joined += b"\n"
            continue
        if directive := _LINE.match(joined):
            number = int(directive[1])
        elif stripped := joined.strip():
            found.append((first, stripped))
        joined = b""
    return [*found, (0, joined)]


def without_comments(text: bytes) -> bytes:
    """Return a text with each comment replaced by a space; its lines keep their numbers."""
    return _TOKEN.sub(_space, text).replace(b"\0", b"\n")


def _space(match: re.Match[bytes]) -> bytes:
    comment = match["comment"]
    return match[0] if comment is None else b" " + b"\0" * comment.count(b"\n")
