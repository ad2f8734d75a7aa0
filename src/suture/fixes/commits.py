# SPDX-License-Identifier: GPL-2.0-or-later
"""The commits between two versions, from a clone of the kernel's repository: the files that an
entry of the changelog changed, without guessing.

An entry of a stable update has its commit's title.  The stable tree has a tag for each version, as
``v6.1.176`` for the package 6.1.176-1.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from suture.errors import COMMIT_UNKNOWN, VERSION_NOT_IN_CLONE, Refusal
from suture.fixes.listing import FixList, ListedFix
from suture.fixes.matching import Certainty
from suture.formats.commits import git
from suture.host.progress import step

_UPSTREAM = re.compile(r"(?:\d+:)?(?P<numbers>\d+(?:\.\d+)+)(?P<candidate>~rc\d+)?")

_MARK = "\1"
"""Begins each commit in the output: no title or path has it."""

_LOG = ("--no-merges", "--no-renames", "--name-only", "--end-of-options")


def with_commits(found: FixList, repository: Path) -> FixList:
    """Return a list with the files of the very commits, where the repository has them.

    Entries of the distribution's own have no commit there, and keep their match.

    :raises Refusal: ``version-not-in-clone``, ``commit-unknown`` (not a repository),
        ``tool-missing``
    """
    with step("Reading the commits", str(repository)):
        old, new = (_tag(repository, version) for version in (found.old, found.new))
        files = _files_by_title(repository, f"{old}..{new}")
    differing = frozenset(one.path for one in found.files)
    return replace(
        found, fixes=tuple(_with_files(fix, files.get(fix.title), differing) for fix in found.fixes)
    )


def _with_files(
    fix: ListedFix, files: frozenset[str] | None, differing: frozenset[str]
) -> ListedFix:
    """Return a fix with the files of its commit that still differ at the end."""
    if files is None:
        return fix
    named = tuple(sorted(files & differing))
    return replace(fix, certainty=Certainty.COMMIT, files=named, because=())


def _tag(repository: Path, version: str) -> str:
    """Return the tag of a package's version, if the repository has it.

    :raises Refusal: ``version-not-in-clone``, ``commit-unknown``, ``tool-missing``
    """
    git(repository, "rev-parse", "--git-dir")
    upstream = _UPSTREAM.match(version)
    if upstream is None:
        raise Refusal(VERSION_NOT_IN_CLONE, str(repository), f"{version} names no version of Linux")
    tag = f"v{upstream['numbers']}{(upstream['candidate'] or '').replace('~', '-')}"
    try:
        git(repository, "rev-parse", "--verify", "--end-of-options", f"{tag}^{{commit}}")
    except Refusal as refusal:
        if refusal.kind is not COMMIT_UNKNOWN:
            raise
        raise Refusal(VERSION_NOT_IN_CLONE, str(repository), f"it has no {tag}") from refusal
    return tag


def _files_by_title(repository: Path, revisions: str) -> Mapping[str, frozenset[str]]:
    """Return title -> the files of all commits of that title, with white space as a changelog has
    it."""
    output = git(repository, "log", f"--format={_MARK}%s", *_LOG, revisions)
    found: dict[str, set[str]] = defaultdict(set)
    for commit in output.decode(errors="surrogateescape").split(_MARK)[1:]:
        title, *paths = commit.split("\n")
        found[" ".join(title.split())].update(path for path in paths if path)
    return {title: frozenset(paths) for title, paths in found.items()}
