# SPDX-License-Identifier: GPL-2.0-or-later
"""The patched file with the original's line numbers, so that ``__LINE__`` in unchanged code keeps
its value.

``WARN``, ``BUG`` and lockdep put line numbers into code and data; a patch that adds one line would
change every function below it.  After each place where lines were added or removed, a ``#line``
directive (C11, 6.10.4; without a file name, so that ``__FILE__`` stays) gives the following lines
their original numbers.  Added lines count on from the line before them.

A directive cannot stand everywhere: not in a comment, after a backslash, or between the parentheses
of what may be a macro's arguments (C11, 6.10.3: undefined).  There it moves to the next possible
line.  In a group that the preprocessor skips it has no effect, so it is repeated after each
``#else`` and ``#endif`` around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

_TOKEN = re.compile(rb"""//|/\*|\*/|["'()]|\\.""")
_DIRECTIVE = re.compile(rb"[ \t]*#[ \t]*(\w*)")
_SPLICED = re.compile(rb"\\[ \t]*$")
"""GCC joins lines also where white space follows the backslash (and warns)."""


def renumber(old: bytes, new: bytes) -> bytes:
    """Return `new` with ``#line`` directives that give each line in common with `old` its number in
    `old`."""
    before, after = old.split(b"\n"), new.split(b"\n")
    original_numbers = _original_numbers(before, after)
    out: list[bytes] = []
    number = 1  # what the preprocessor takes the next line for, if no group was skipped
    doubtful = repeat = (
        False  # a directive stands in a group that may be skipped; a group has ended since
    )
    for index, (line, place) in enumerate(zip(after, _places(after), strict=True)):
        original = original_numbers.get(index)
        if original is not None and place.safe and (number != original or repeat):
            out.append(b"#line %d" % original)
            number = original
            doubtful, repeat = place.nesting > 0, False
        out.append(line)
        number += 1
        repeat = repeat or (doubtful and place.ends_group)
    return b"\n".join(out)


def _original_numbers(before: list[bytes], after: list[bytes]) -> dict[int, int]:
    """Return the index of each line in common -> its 1-based number in the first file."""
    numbers: dict[int, int] = {}
    for block in SequenceMatcher(None, before, after).get_matching_blocks():
        for offset in range(block.size):
            numbers[block.b + offset] = block.a + offset + 1
    return numbers


@dataclass(frozen=True, slots=True)
class _LinePlace:
    """The start of one line.

    :ivar safe: a directive may stand before it.
    :ivar nesting: how many ``#if`` are open.
    :ivar ends_group: the line is ``#elif``, ``#else`` or ``#endif``.
    """

    safe: bool
    nesting: int
    ends_group: bool


class _Scanner:
    """Follows C's lexical rules far enough to find the lines before which a directive may stand."""

    def __init__(self) -> None:
        self.comment = False
        self.spliced = False
        self.quote = b""
        self.line_comment = False
        self.directive = False
        self.depth = 0
        self.groups: list[int] = []  # the parenthesis depth at each open #if

    def line(self, text: bytes) -> _LinePlace:
        """Read the next line, and return what is known of its start."""
        safe = not self.comment and not self.spliced and self.depth == 0
        nesting = len(self.groups)
        word = b""
        if not self.comment and not self.spliced:
            directive = _DIRECTIVE.match(text)
            self.directive = directive is not None
            word = directive[1] if directive else b""
            if not self.directive and text.rstrip() == b"}":
                self.depth = 0  # the end of a function: parentheses that seem open were miscounted
        self._conditional(word)
        self._tokens(text)
        self.spliced = _SPLICED.search(text) is not None
        if not self.spliced:
            self.quote, self.line_comment, self.directive = b"", False, False
        return _LinePlace(safe, nesting, word.startswith((b"el", b"endif")))

    def _conditional(self, word: bytes) -> None:
        """Start each branch of an ``#if`` at the same parenthesis depth, and keep the depth of the
        last one."""
        if word.startswith(b"if"):
            self.groups.append(self.depth)
        elif word.startswith(b"el") and self.groups:
            self.depth = self.groups[-1]
        elif word == b"endif" and self.groups:
            self.groups.pop()

    def _tokens(self, text: bytes) -> None:
        for match in _TOKEN.finditer(text):
            token = match[0]
            if self.comment:
                self.comment = token != b"*/"
            elif self.line_comment:
                return
            elif self.quote:
                if token == self.quote:
                    self.quote = b""
            elif token == b"/*":
                self.comment = True
            elif token == b"//":
                self.line_comment = True
            elif token in (b'"', b"'"):
                self.quote = token
            elif token == b"(" and not self.directive:
                self.depth += 1
            elif token == b")" and not self.directive:
                self.depth = max(0, self.depth - 1)


def _places(lines: list[bytes]) -> Iterator[_LinePlace]:
    scanner = _Scanner()
    return (scanner.line(line) for line in lines)
