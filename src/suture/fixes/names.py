# SPDX-License-Identifier: GPL-2.0-or-later
"""The names by which a changed file hangs together with others."""

from __future__ import annotations

import re
from dataclasses import dataclass

from suture.fixes.changes import FunctionLines, changed_lines, function_lines
from suture.workspace.comments import without_comments

_WORD = re.compile(rb"[A-Za-z_]\w+")
_TEXT = re.compile(rb'"(?:[^"\\\n]|\\.)*"')

Words = frozenset[bytes]


@dataclass(frozen=True, slots=True)
class ChangedNames:
    """The names of a changed file, from its code without comments and texts.

    :ivar path: in the tree.
    :ivar brought: those that the new version alone has; `taken`: those that the old one alone has.
    :ivar mentioned: those in changed lines.
    :ivar functions: the functions with changed lines that other files can call.
    :ivar defined: the functions that other files can call, of both versions.
    """

    path: str
    brought: Words
    taken: Words
    mentioned: Words
    functions: Words
    defined: Words

    @property
    def is_header(self) -> bool:
        """Whether other files include it."""
        return self.path.endswith(".h")

    def declares(self, name: bytes) -> bool:
        """Whether the file may be where other files have a name from."""
        return self.is_header or name in self.defined


def changed_names(path: str, old: bytes, new: bytes, diff: str) -> ChangedNames:
    """Return the names of a changed file.

    :param old: its content, empty where it is added; `new`: empty where it is removed.
    :param diff: the unified diff between both.
    """
    before, after = _Version.of(old), _Version.of(new)
    lines = list(changed_lines(diff))
    removed = frozenset(line.old for line in lines if line.kind == "-")
    added = frozenset(line.new for line in lines if line.kind == "+")
    functions = before.functions_at(removed) | after.functions_at(added)
    defined = before.global_functions() | after.global_functions()
    return ChangedNames(
        path,
        after.words - before.words,
        before.words - after.words,
        before.words_at(removed) | after.words_at(added),
        frozenset() if path.endswith(".h") else functions & defined,
        defined,
    )


@dataclass(frozen=True, slots=True)
class _Version:
    """One version of a file; lines are counted from 1."""

    lines: tuple[bytes, ...]
    functions: FunctionLines
    words: Words

    @classmethod
    def of(cls, content: bytes) -> _Version:
        """Read a file, without its comments and texts."""
        code = _TEXT.sub(b'""', without_comments(content))
        return cls(tuple(code.split(b"\n")), function_lines(code), frozenset(_WORD.findall(code)))

    def words_at(self, numbers: frozenset[int]) -> Words:
        """Return the words of some lines."""
        lines = (self.lines[number - 1] for number in numbers if number <= len(self.lines))
        return frozenset(word for line in lines for word in _WORD.findall(line))

    def functions_at(self, numbers: frozenset[int]) -> Words:
        """Return the functions that some lines are in."""
        names = {self.functions.at(number) for number in numbers} - {""}
        return frozenset(name.encode() for name in names)

    def global_functions(self) -> Words:
        """Return the functions whose definition does not say ``static``, on its first line or the
        one before."""
        found = set()
        for start, name in zip(self.functions.starts, self.functions.names, strict=True):
            if b"static" not in b" ".join(self.lines[max(0, start - 2) : start]):
                found.add(name.encode())
        return frozenset(found)
