# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of the changed files a live patch is to have: those of code that the host runs, with what
else their fixes may mean, and the administrator's choice among them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from suture.errors import FIX_NOT_LISTED, Refusal
from suture.fixes.groups import FileGroup
from suture.fixes.listing import ChangedFile, FixList, ListedFix
from suture.model import is_run


@dataclass(frozen=True, slots=True)
class ChosenFiles:
    """Paths of changed files.

    :ivar wanted: those that a live patch is to have.
    :ivar unwanted: those that it must not have.
    """

    wanted: frozenset[str]
    unwanted: frozenset[str]

    def groups(self, groups: Iterable[FileGroup]) -> tuple[FileGroup, ...]:
        """Return the groups with a wanted file that come without the unwanted ones."""
        return tuple(
            one
            for one in groups
            if not self.wanted.isdisjoint(one.paths) and self.unwanted.isdisjoint(one.whole)
        )


def chosen_files(
    found: FixList,
    loaded: Collection[str] | None,
    only: Sequence[str] = (),
    without: Sequence[str] = (),
) -> ChosenFiles:
    """Return the changed files that a live patch is to have.

    :param loaded: the modules that the host runs; None for all code that the kernel is built from.
    :param only: what to take: paths or directories (``net/sched``), CVE numbers, and the places
        that titles begin with (``netfilter``); nothing for all that runs.
    :param without: what not to take, likewise.
    :raises Refusal: ``fix-not-listed``
    """
    built = {one.path for one in found.files if one.objects}
    running = {one.path for one in found.files if _runs(one, loaded)}
    # A fix is had only with all files that it may mean, modules that are not loaded included.
    reaching = [fix.files for fix in found.fixes if not running.isdisjoint(fix.files)]
    wanted = running.union(*(built.intersection(files) for files in reaching))
    if only:
        wanted = _of_all(found, only) & built
    unwanted = _of_all(found, without)
    return ChosenFiles(frozenset(wanted - unwanted), frozenset(unwanted))


def _runs(file: ChangedFile, loaded: Collection[str] | None) -> bool:
    return bool(file.objects) if loaded is None else is_run(file.objects, loaded)


def _of_all(found: FixList, words: Iterable[str]) -> set[str]:
    """Return the paths that some words choose."""
    return {path for word in words for path in _of(found, word)}


def _of(found: FixList, word: str) -> set[str]:
    paths = {one.path for one in found.files if _is_at(one.path, word)}
    if not paths:
        paths = {path for fix in found.fixes if _is_of(fix, word) for path in fix.files}
    if not paths:
        raise Refusal(FIX_NOT_LISTED, word, f"no file or fix of {found.old}..{found.new} is that")
    return paths


def _is_at(path: str, word: str) -> bool:
    return path == word or path.startswith(f"{word.rstrip('/')}/")


def _is_of(fix: ListedFix, word: str) -> bool:
    return word.upper() in fix.cves or fix.title.startswith(f"{word.rstrip(':')}:")
