# SPDX-License-Identifier: GPL-2.0-or-later
"""The changes of a list of fixes, file by file, as they are kept beside it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from suture.fixes.changes import changed_lines
from suture.fixes.names import ChangedNames, changed_names

_HEAD = re.compile(r"^diff -ruN a/(\S+) b/\S+\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class FileDiff:
    """How one file changes.

    :ivar path: in the tree.
    :ivar text: the unified diff, with its head.
    """

    path: str
    text: str

    def names(self, tree: Path) -> ChangedNames:
        """Return the names of the change.

        :param tree: the source as it is before.
        """
        at = tree / self.path
        old = at.read_bytes() if at.is_file() else b""
        return changed_names(self.path, old, _applied(old, self.text), self.text)


def split(text: str) -> Iterator[FileDiff]:
    """Yield the diffs of a text that `suture.fixes.listing` keeps."""
    _, *parts = _HEAD.split(text)
    for path, diff in zip(parts[::2], parts[1::2], strict=True):
        yield FileDiff(path, f"diff -ruN a/{path} b/{path}\n{diff}")


def _applied(old: bytes, diff: str) -> bytes:
    """Return the new version of a file; whether its last line ends is left as it was."""
    removed: set[int] = set()
    added: dict[int, list[bytes]] = defaultdict(list)
    for line in changed_lines(diff):
        if line.kind == "-":
            removed.add(line.old)
        else:
            added[line.old].append(line.text.encode(errors="surrogateescape"))
    result = added.pop(0, [])  # of an empty file: "@@ -0,0 +1,9 @@"
    lines = old.split(b"\n") if old else []
    for number, content in enumerate([*lines, b""], 1):
        result += added.get(number, [])
        if number not in removed and number <= len(lines):
            result.append(content)
    return b"\n".join(result)
