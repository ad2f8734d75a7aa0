# SPDX-License-Identifier: GPL-2.0-or-later
"""Places in the source files of a patch: functions, and the lines in them that mention a name.

The kernel's objects are compiled without debug information, and so the lines of what a finding is
about are read from the source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from suture.workspace.applying import Changed
from suture.workspace.comments import without_comments

_FUNCTION = re.compile(r"^[A-Za-z_][\w \t*]*?\b(\w+)\s*\((?!.*(;|=\s*\{)\s*$)", re.ASCII)
"""Neither a prototype nor a table, ``static DEFINE_IDTABLE(ids) = {``."""

_OTHER = re.compile(r"^(struct|union|enum|typedef)\b[^(]*$|^\}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a source file.

    :ivar line: from 1; 0 where it is not known.
    :ivar function: the function that it is in, or "".
    """

    path: str
    line: int = 0
    function: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


@dataclass(frozen=True, slots=True)
class Body:
    """A function's text without comments.

    :ivar line: where it begins, from 1.
    :ivar lines: the lines behind the first one, with their numbers, without the closing brace.
    """

    name: str
    line: int
    lines: tuple[tuple[int, str], ...]

    @property
    def text(self) -> str:
        """What stands in braces, with the opening one where that has a line of its own."""
        lines = [line for _, line in self.lines]
        brace = next((index for index, line in enumerate(lines) if line.startswith("{")), 0)
        return "\n".join(lines[brace:])

    def first(self, pattern: re.Pattern[str]) -> int:
        """Return the number of the first line in which a pattern is found, or 0."""
        return next((number for number, line in self.lines if pattern.search(line)), 0)


def bodies(source: bytes) -> dict[str, Body]:
    """Return the functions of a C file by name, as far as their layout is the kernel's: the name at
    the start of a line, the closing brace at the start of another.

    A function that ``#ifdef`` gives two bodies has the lines of both.
    """
    found: dict[str, Body] = {}
    for body in functions(source):
        if first := found.get(body.name):
            body = replace(first, lines=first.lines + body.lines)
        found[body.name] = body
    return found


def used_at(path: str, source: bytes, pattern: re.Pattern[str]) -> Iterator[Place]:
    """Yield the first place in each function of a C file that a pattern is found in."""
    for body in bodies(source).values():
        if line := body.first(pattern):
            yield Place(path, line, body.name)


def functions(source: bytes) -> Iterator[Body]:
    """Yield the functions of a C file in order, one with two bodies (``#ifdef``) twice."""
    name, start, lines = "", 0, list[tuple[int, str]]()
    for number, line in enumerate(lines_of(without_comments(source)), 1):
        if match := _FUNCTION.match(line):
            name, start, lines = match[1], number, []
        elif _OTHER.match(line):
            if name and line.startswith("}"):
                yield Body(name, start, tuple(lines))
            name = ""
        else:
            lines.append((number, line))


def mentioned_at(changes: Sequence[Changed], name: str) -> Place | None:
    """Return the first place in the changed files that mentions a name, comments aside."""
    pattern = re.compile(rf"\b{re.escape(name)}\b", re.ASCII)
    for change in changes:
        for number, line in enumerate(lines_of(without_comments(change.new)), 1):
            if pattern.search(line):
                return Place(change.path, number)
    return None


class Places:
    """Finds the lines of what findings are about, in the files that a patch changes.

    :param changes: the files as the patch leaves them.
    """

    def __init__(self, changes: Sequence[Changed] = ()) -> None:
        self._changes = {change.path: change for change in changes}
        self._bodies: dict[str, dict[str, Body]] = {}

    def of(self, source: str, function: str, words: str = "") -> Place:
        """Return the first line of a function that a pattern is found in, else its first line.

        Example: ``adv_text`` in ``proc_version_init()`` (fs/proc/version.c).

        :param source: the file that the function is compiled in; it may stand in a header.
        """
        paths = sorted(self._changes, key=lambda path: path != source)
        for path in paths:
            body = self._bodies_of(path).get(function)
            if body is not None:
                line = body.first(re.compile(words, re.ASCII)) if words else 0
                return Place(path, line or body.line, function)
        return Place(source, function=function)

    def of_name(self, source: str, name: str) -> Place:
        """Return the first line of a file that mentions a name."""
        change = self._changes.get(source)
        return mentioned_at([change] if change else [], name) or Place(source)

    def _bodies_of(self, path: str) -> dict[str, Body]:
        if path not in self._bodies:
            self._bodies[path] = bodies(self._changes[path].new)
        return self._bodies[path]


NO_PLACES = Places()
"""Of a patch whose source files are not at hand."""


def lines_of(content: bytes) -> list[str]:
    """Return the lines of a file."""
    return content.decode(errors="replace").splitlines()
