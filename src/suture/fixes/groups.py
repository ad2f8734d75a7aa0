# SPDX-License-Identifier: GPL-2.0-or-later
"""Changed files -> groups that stand or fall together.

The files of a stable update are hundreds of fixes side by side.  A file needs another one where

- it brings a name into use that no file of the kernel has, and the other declares it: a new
  function with its prototype, a new member, a new macro;
- the name that it declares goes away, and the other is who used it;
- its changed lines call a function that changes in the other, or are called from there.  Example:
  a function no longer takes a lock, which its callers now take.  Both or none.

Files that need each other are a group; a group needs others.  What this does not see (a type or a
prototype that changes under the same name) the compiler, and the comparison of types, refuse.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from suture.fixes.names import ChangedNames

Known = Callable[[bytes], Collection[str]]
"""The files of the old tree that have a word."""

MOST_CALLERS = 16
"""A function that more changed files mention tells nothing of their belonging together
(``list_add()``)."""


@dataclass(frozen=True, slots=True)
class FileGroup:
    """Changed files that stand or fall together.

    :ivar paths: sorted.
    :ivar needs: the paths of further files, of other groups, without which it cannot stand.
    """

    paths: tuple[str, ...]
    needs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What to call it: its first source file, or its first file."""
        return next((path for path in self.paths if not path.endswith(".h")), self.paths[0])

    @property
    def whole(self) -> tuple[str, ...]:
        """Its files and those that it needs, sorted."""
        return tuple(sorted({*self.paths, *self.needs}))


def groups(files: Sequence[ChangedNames], known: Known) -> tuple[FileGroup, ...]:
    """Return the groups of changed files, each after those that it needs."""
    needs = _needs(files, known)
    whole = {file.path: _reached(file.path, needs) for file in files}
    grouped: dict[str, FileGroup] = {}
    for path, reached in whole.items():
        if path not in grouped:
            group = {one for one in reached if path in whole[one]}
            made = FileGroup(tuple(sorted(group)), tuple(sorted(reached - group)))
            grouped |= dict.fromkeys(group, made)
    each = dict.fromkeys(grouped[file.path] for file in files)
    return tuple(sorted(each, key=lambda one: len(one.whole)))


def _needs(files: Sequence[ChangedNames], known: Known) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {file.path: set() for file in files}
    for name, having in _having(files, lambda one: one.brought).items():
        if len(having) > 1 and not known(name):
            declaring = _declaring(name, having)
            for one in having:
                found[one.path] |= declaring
    for name, having in _having(files, lambda one: one.taken).items():
        if len(having) > 1 and {one.path for one in having}.issuperset(known(name)):
            users = {one.path for one in having}
            for path in _declaring(name, having):
                found[path] |= users
    mentioning = _having(files, lambda one: one.mentioned)
    for file in files:
        for name in file.functions:
            users = {one.path for one in mentioning[name]} - {file.path}
            if len(users) <= MOST_CALLERS:
                found[file.path] |= users
                for path in users:
                    found[path].add(file.path)
    return found


def _having(
    files: Iterable[ChangedNames], names: Callable[[ChangedNames], Iterable[bytes]]
) -> Mapping[bytes, list[ChangedNames]]:
    """Return name -> the files that have it."""
    found: dict[bytes, list[ChangedNames]] = defaultdict(list)
    for file in files:
        for name in names(file):
            found[name].append(file)
    return found


def _declaring(name: bytes, having: Sequence[ChangedNames]) -> set[str]:
    """Return those files that may declare a name; all where none seems to."""
    found = {one.path for one in having if one.declares(name)}
    return found or {one.path for one in having}


def _reached(path: str, needs: Mapping[str, set[str]]) -> set[str]:
    """Return a file and all that it needs, and that these need."""
    found, waiting = {path}, [path]
    while waiting:
        new = needs[waiting.pop()] - found
        found |= new
        waiting += new
    return found
