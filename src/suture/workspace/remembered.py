# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects of patches, found again by the changed files that the compiler really read.

Hundreds of patches to one tree are built apart and then together.  An object that does not read a
changed header need not be compiled again because that header is in the patch too: what it is
compiled from is its command, and the files that the compiler listed.  A changed file that it did
not read could only have a say if it were found in place of one that it read, which takes a file
that the patch adds, of the same name in another directory.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from suture.workspace import store
from suture.workspace.command import Compilation
from suture.workspace.store import Stored

MOST = 16
"""Variants of an object to look through; of more, the oldest are forgotten."""

Contents = Mapping[str, bytes]
"""The changed files, by their paths in the tree."""


class RememberedObjects:
    """The patched objects that a directory keeps.

    :ivar what: what was made, so that other results are kept apart.
    :ivar name: of the workspace.
    """

    def __init__(self, directory: Path, what: str, name: str, tree: Path) -> None:
        self._directory = directory
        self._what = what
        self._name = name
        self._tree = tree

    def find(self, compilation: Compilation, contents: Contents) -> Stored | None:
        """Return the object that a compilation makes with some changed files; None if it has not
        been made, or is damaged."""
        now = {path: _digest(content) for path, content in contents.items()}
        for key, read in self._variants(compilation, contents):
            if all(now.get(path) == digest for path, digest in read.items()):
                stored = store.load(self._directory, key)
                if stored is not None and self._is_of(stored.compilation, read, contents):
                    return stored
        return None

    def keep(self, compilation: Compilation, contents: Contents, stored: Stored) -> None:
        """Keep an object, made with some changed files."""
        reads = stored.compilation.reads
        read = {path: _digest(contents[path]) for path in sorted(reads & contents.keys())}
        key = store.key([self._index(compilation, contents), json.dumps(read)])
        store.save(self._directory, key, stored)
        others = [one for one in self._variants(compilation, contents) if one[0] != key]
        listed = json.dumps([(key, read), *others[: MOST - 1]])
        store.save_bytes(self._directory, self._index(compilation, contents), listed.encode())

    def _variants(
        self, compilation: Compilation, contents: Contents
    ) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield the keys of the objects that were made by a command from a source, each with the
        digests of the changed files that were read."""
        body = store.load_bytes(self._directory, self._index(compilation, contents))
        with suppress(ValueError, TypeError):
            for key, read in json.loads(body or b"[]"):
                yield str(key), dict(read)

    def _index(self, compilation: Compilation, contents: Contents) -> str:
        source = contents.get(os.path.normpath(compilation.source), b"")
        return store.key([f"{self._what} by what was read", self._name, compilation.text, source])

    def _is_of(self, compilation: Compilation, read: Mapping[str, str], contents: Contents) -> bool:
        """Whether the compiler would read the same files."""
        reads = compilation.reads
        names = {os.path.basename(path) for path in reads}
        added = (path for path in contents.keys() - reads if not (self._tree / path).exists())
        return read.keys() == reads & contents.keys() and not any(
            os.path.basename(path) in names for path in added
        )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
