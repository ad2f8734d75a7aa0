# SPDX-License-Identifier: GPL-2.0-or-later
"""The patched side: the tree as it is after the patch; the pristine one stays unchanged.

A shadow tree covers the pristine one: the directories that lead to a changed file are real, the
changed files are real (`suture.workspace.applying` makes them), and everything else in those
directories is a symbolic link into the pristine tree.

The compiler runs in the shadow with the same relative names, so that both sides have the same
``__FILE__``.  A header that is reached as ``linked-directory/../x.h`` leaves the shadow, because
the kernel resolves the link first; `Shadow.escaped` finds such headers in the compiler's own list
of the files it read, and `Shadow.materialise` makes their directories real.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from suture.host.files import cannot_write, temporary_directory


class _RealPaths:
    """Resolves the links in paths of many files that are in few directories (realpath(3))."""

    def __init__(self) -> None:
        self._directories: dict[str, str] = {}

    def of(self, path: str) -> str:
        """Return a path without symbolic links."""
        if os.path.islink(path):
            return os.path.realpath(path)
        directory, name = os.path.split(path)
        if directory not in self._directories:
            self._directories[directory] = os.path.realpath(directory)
        return os.path.join(self._directories[directory], name)


class Shadow:
    """A tree that reads like the pristine one, except for the files given to `shadow`."""

    def __init__(self, root: Path, tree: Path, contents: Mapping[str, bytes]) -> None:
        self.root = root
        self.tree = tree
        self._hidden = frozenset(os.path.realpath(tree / path) for path in contents)
        self._link_entries(root, tree)
        for path, content in contents.items():
            self.materialise(os.path.dirname(path))
            (root / path).unlink(missing_ok=True)
            (root / path).write_bytes(content)

    def materialise(self, directory: str) -> None:
        """Make `directory` and its parents real, and their entries links."""
        real, pristine = self.root, self.tree
        for part in Path(directory).parts:
            real, pristine = real / part, pristine / part
            if real.is_symlink() or not real.exists():
                real.unlink(missing_ok=True)
                real.mkdir()
                if pristine.is_dir():
                    self._link_entries(real, pristine)

    def escaped(self, dependencies: Iterable[str]) -> tuple[str, ...]:
        """Return the pristine copies of changed files that a compiler run read.

        :param dependencies: relative to the top of the tree, as the compiler names them.
        """
        root, real = str(self.root), _RealPaths()
        return tuple(d for d in dependencies if real.of(os.path.join(root, d)) in self._hidden)

    def materialise_towards(self, dependency: str) -> None:
        """Make every directory on the way to `dependency` real, so that each ``..`` in it stays in
        the shadow."""
        parts = dependency.split("/")
        for count, part in enumerate(parts):
            if part == "..":
                self.materialise(os.path.normpath("/".join(parts[:count])))

    @staticmethod
    def _link_entries(real: Path, pristine: Path) -> None:
        with os.scandir(pristine) as entries:
            for entry in entries:
                os.symlink(entry.path, real / entry.name)


@contextmanager
def shadow(tree: Path, contents: Mapping[str, bytes]) -> Iterator[Shadow]:
    """Make a shadow of `tree` with the given contents at their paths; it is removed when the block
    ends.

    :raises Refusal: ``disk-full``
    """
    with temporary_directory() as root:
        try:
            made = Shadow(Path(root).resolve(), tree, contents)
        except OSError as error:
            raise cannot_write(Path(root), error) from error
        yield made
