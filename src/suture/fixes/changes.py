# SPDX-License-Identifier: GPL-2.0-or-later
"""What changes in a file: lines, functions, and the words in them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from suture.errors import COMMAND_FAILED, Refusal
from suture.fixes.trees import FileVersions
from suture.host.files import temporary_directory
from suture.host.run import run

CODE = (".c", ".h", ".S")

_DIFFERENT = 1  # diff(1): the exit status where files differ
_FILE = re.compile(r"^diff (?:-\S+ )+a/(?P<path>\S+) b/\S+\n", re.MULTILINE)
_TIME = re.compile(r"^((?:---|\+\+\+) \S+)\t.*$", re.MULTILINE)
_HUNK = re.compile(r"@@ -(?P<old>\d+)(?:,\d+)? \+(?P<new>\d+)(?:,\d+)? @@")
_WORD = re.compile(r"[A-Za-z_]\w+")

_AT_FIRST_COLUMN = re.compile(rb"^(?:[{}]|[A-Za-z_].*[^;\n]$)", re.MULTILINE)
"""A brace, or a line that may begin a definition: one that ends in a semicolon does not."""

_HEAD = re.compile(rb"(\w+)\s*\(\s*(\w*)")
_BEFORE = re.compile(rb"__\w+__|__\w*printf|DEFINE_\w+|\w*SYSCALL_DEFINE\d?|[A-Z][A-Z0-9_]+")
"""What a definition may begin with that is not the function's name, but has it, or something else,
between parentheses: ``SYSCALL_DEFINE3(bpf, ...)``, ``__printf(2, 3)``."""


@dataclass(frozen=True, slots=True)
class CodeChange:
    """How a file of the kernel's code changes.

    :ivar path: in the tree.
    :ivar added: lines; `removed`: likewise.
    :ivar functions: those that changed lines are in, before or after.
    :ivar words: of the changed lines.
    :ivar text: the unified diff of the file, with paths below ``a/`` and ``b/``.
    """

    path: str
    added: int
    removed: int
    functions: frozenset[str]
    words: frozenset[str]
    text: str


def changes(found: Iterable[FileVersions]) -> Iterator[CodeChange]:
    """Yield how files of code change.

    :raises Refusal: ``tool-missing``, ``command-failed``, ``disk-full``
    """
    versions = {one.path: one for one in found}
    if not versions:
        return
    for path, text in _diffs(versions.values()).items():
        yield _change(versions[path], text)


def _diffs(found: Collection[FileVersions]) -> Mapping[str, str]:
    """Return path -> unified diff, as diff(1) makes it of all files at once."""
    with temporary_directory() as work:
        for one in found:
            for side, content in (("a", one.old), ("b", one.new)):
                path = Path(work, side, one.path)
                path.parent.mkdir(parents=True, exist_ok=True)
                if content is not None:
                    path.write_bytes(content)
        finished = run(["diff", "--text", "-ruN", "a", "b"], cwd=Path(work))
    if finished.status > _DIFFERENT:
        raise Refusal(
            COMMAND_FAILED, "diff", "it failed", evidence=finished.stderr.splitlines()[-5:]
        )
    _, *parts = _FILE.split(_TIME.sub(r"\1", finished.stdout))
    texts = dict(zip(parts[::2], parts[1::2], strict=True))
    if missing := {one.path for one in found} - texts.keys():
        raise Refusal(COMMAND_FAILED, "diff", f"it says nothing of {min(missing)}")
    return texts


def _change(versions: FileVersions, text: str) -> CodeChange:
    before, after = function_lines(versions.old or b""), function_lines(versions.new or b"")
    functions: set[str] = set()
    words: set[str] = set()
    counts = {"+": 0, "-": 0}
    for line in changed_lines(text):
        counts[line.kind] += 1
        words.update(_WORD.findall(line.text))
        # What is added stands in a function of the old file too: that between its neighbours.
        functions |= {before.at(line.old), after.at(line.new)}
    return CodeChange(
        versions.path,
        counts["+"],
        counts["-"],
        frozenset(functions - {""}),
        frozenset(words),
        text,
    )


@dataclass(frozen=True, slots=True)
class ChangedLine:
    """A line that a diff removes or adds.

    :ivar kind: ``-`` or ``+``.
    :ivar old: its number in the old file, for an added line that of the next; `new`: likewise.
    """

    kind: str
    old: int
    new: int
    text: str


def changed_lines(diff: str) -> Iterator[ChangedLine]:
    """Yield the lines that the unified diff of one file removes and adds."""
    old = new = 0
    for line in diff.split("\n"):  # splitlines() takes a form feed for the end of a line
        if hunk := _HUNK.match(line):
            old, new = int(hunk["old"]), int(hunk["new"])
            continue
        kind = line[:1]
        if not old + new or kind == "\\":  # the head, and "\ No newline at end of file"
            continue
        if kind in ("-", "+"):
            yield ChangedLine(kind, old, new, line[1:])
        old += kind != "+"
        new += kind != "-"


@dataclass(frozen=True, slots=True)
class FunctionLines:
    """The lines of a file that are in definitions of functions.

    :ivar starts: the number of the first line of each, ascending.
    :ivar ends: the number of the last line of each.
    """

    starts: tuple[int, ...]
    ends: tuple[int, ...]
    names: tuple[str, ...]

    def at(self, number: int) -> str:
        """Return the function that a line is in, or ""."""
        index = bisect_right(self.starts, number) - 1
        return self.names[index] if index >= 0 and number <= self.ends[index] else ""


def function_lines(text: bytes) -> FunctionLines:
    """Find the functions of a file of C.

    As the kernel is written (``Documentation/process/coding-style.rst``), a definition begins in
    the first column, and so does the brace that opens its body, and the one that closes it.
    """
    found: list[tuple[int, int, str]] = []
    heads: list[tuple[int, bytes]] = []
    name, start, is_inside = "", 0, False
    number, position = 1, 0
    for match in _AT_FIRST_COLUMN.finditer(text):
        number += text.count(b"\n", position, match.start())
        position = match.start()
        line = match[0]
        if line == b"}":
            if is_inside:
                found.append((start, number, name))
            heads, is_inside = [], False
        elif is_inside:
            continue
        elif line == b"{":
            start, name = next(filter(itemgetter(1), map(_named, reversed(heads))), (0, ""))
            is_inside = name != ""
        else:
            heads.append((number, line))
    starts, ends, names = zip(*found, strict=True) if found else ((), (), ())
    return FunctionLines(starts, ends, names)


def _named(head: tuple[int, bytes]) -> tuple[int, str]:
    """Return the number of a line, and the name of the function whose definition it begins, or
    ""."""
    number, line = head
    for word, argument in _HEAD.findall(line):
        if not _BEFORE.fullmatch(word):
            return number, word.decode()
        if b"DEFINE" in word and argument:
            return number, argument.decode()
    return number, ""
