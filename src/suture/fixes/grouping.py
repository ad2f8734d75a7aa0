# SPDX-License-Identifier: GPL-2.0-or-later
"""The groups of a list's changed files, and what its headers declare, kept beside the list."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from suture.errors import COMMAND_FAILED, Refusal
from suture.fixes.declarations import Declarations, HeaderNames
from suture.fixes.groups import FileGroup, groups
from suture.fixes.kept_changes import FileDiff
from suture.fixes.listing import FixList, diffs_of, place_of
from suture.fixes.names import ChangedNames
from suture.host.files import write_atomic
from suture.host.progress import step
from suture.host.side_by_side import Job, side_by_side, workers
from suture.workspace.lookups import word_index
from suture.workspace.prepare import Workspace

RECIPE = 1
"""Raised whenever groups are made in another way."""

_FILE = "groups.json"
_MEMORY = 256 << 20
_AT_A_TIME = 256


@dataclass(frozen=True, slots=True)
class Grouping:
    """The changed files that a kernel is built from, in groups.

    :ivar groups: each after those that it needs.
    :ivar headers: what changed headers bring and change.
    :ivar diffs: path -> how the file changes.
    """

    groups: tuple[FileGroup, ...]
    headers: tuple[HeaderNames, ...]
    diffs: Mapping[str, FileDiff]

    @property
    def declarations(self) -> Declarations:
        """The headers, to be looked up by what they declare."""
        return Declarations(self.groups, self.headers)


def grouping(workspace: Workspace, found: FixList) -> Grouping:
    """Return the groups of the changed files of a list.

    :raises Refusal: ``file-unreadable``, ``disk-full``, ``workspace-failed``
    """
    diffs = diffs_of(workspace.target, found)
    place = place_of(workspace.target, found.new) / _FILE
    if (kept := _kept(place)) is not None:
        return Grouping(*kept, diffs)
    built = [diffs[one.path] for one in found.files if one.objects]
    with step("Grouping the changed files", f"{len(built)} files"):
        names = _names(built, workspace.tree)
        made = groups(names, word_index(workspace).files_with)
    headers = tuple(HeaderNames.of(one) for one in names if one.is_header)
    _keep(place, made, headers)
    return Grouping(made, headers, diffs)


def _names(diffs: Sequence[FileDiff], tree: Path) -> list[ChangedNames]:
    parts = [diffs[start : start + _AT_A_TIME] for start in range(0, len(diffs), _AT_A_TIME)]

    def job(part: Sequence[FileDiff]) -> Job[list[ChangedNames]]:
        return Job(part[0].path, lambda: [one.names(tree) for one in part])

    found: dict[int, list[ChangedNames]] = {}
    for index, names in side_by_side([job(part) for part in parts], workers(_MEMORY)):
        if names is None:
            raise Refusal(COMMAND_FAILED, parts[index][0].path, "the process that read it ended")
        found[index] = names
    return list(chain.from_iterable(found[index] for index in range(len(parts))))


def _keep(place: Path, made: Sequence[FileGroup], headers: Sequence[HeaderNames]) -> None:
    document = {
        "recipe": RECIPE,
        "groups": [[one.paths, one.needs] for one in made],
        "headers": [[one.path, sorted(one.brought), sorted(one.changed)] for one in headers],
    }
    write_atomic(place, json.dumps(document).encode())


def _kept(place: Path) -> tuple[tuple[FileGroup, ...], tuple[HeaderNames, ...]] | None:
    """Return what is kept; None where nothing is, or of an earlier form."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        document = json.loads(place.read_bytes())
        if document["recipe"] == RECIPE:
            made = tuple(FileGroup(tuple(one), tuple(more)) for one, more in document["groups"])
            headers = tuple(
                HeaderNames(path, frozenset(brought), frozenset(changed))
                for path, brought, changed in document["headers"]
            )
            return made, headers
    return None
