# SPDX-License-Identifier: GPL-2.0-or-later
"""A commit brought to another version of a file by a three-way merge.

A diff of git names the blobs before and after the commit (``index 8f2b29e2..3a9c1f04``).  Where the
repository is at hand, `git merge-file` carries the change from the one to the other over to the
target's file, as ``git cherry-pick`` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from suture.errors import MERGE_CONFLICT, PATCH_ALREADY_APPLIED, Refusal
from suture.formats.commits import git
from suture.formats.diff import ChangeKind, FileChange, PatchFile
from suture.host.files import temporary_directory

_SHOWN_LINES = 24
"""Of a conflict."""

_BEGIN, _END = "<<<<<<<", ">>>>>>>"


def merged(
    file: PatchFile, ours: Mapping[str, bytes | None], repository: Path
) -> dict[str, bytes | None]:
    """Return the target's files with the change of a commit.

    :param ours: the target's files by path; None for one that it does not have.
    :raises Refusal: ``merge-conflict``; ``patch-already-applied`` where the merge changes nothing
    """
    found = dict(ours)
    for change in file.changes:
        found[change.path] = _merged(file.name, change, found[change.path], repository)
    if found == dict(ours):
        paths = " and ".join(found)
        raise Refusal(
            PATCH_ALREADY_APPLIED, file.name, f"the target's {paths} already has what it changes"
        )
    return found


def _merged(name: str, change: FileChange, ours: bytes | None, repository: Path) -> bytes | None:
    if change.kind is ChangeKind.REMOVED:
        return None
    if not change.blobs:
        found = f"names no blobs for {change.path}, so the file that it starts from is not known"
        raise Refusal(MERGE_CONFLICT, name, found)
    before, after = (_blob(blob, repository) for blob in change.blobs)
    if change.kind is ChangeKind.ADDED:
        if ours not in (None, after):
            found = f"adds {change.path}, and the target has another file of that name"
            raise Refusal(MERGE_CONFLICT, name, found)
        return after
    return _three_way(name, change.path, ours or b"", before, after)


def _blob(blob: str, repository: Path) -> bytes:
    """Return the contents of a blob; nothing for the one of a file that is not there."""
    if not blob.strip("0"):
        return b""
    return git(repository, "cat-file", "blob", blob)


def _three_way(name: str, path: str, ours: bytes, base: bytes, theirs: bytes) -> bytes:
    with temporary_directory() as scratch:
        names = ("target", "before", "after")
        for side, content in zip(names, (ours, base, theirs), strict=True):
            (scratch / side).write_bytes(content)
        labels = [f"-L{one}" for one in ("the target", "before the commit", "after the commit")]
        text = git(scratch, "merge-file", "-p", "--diff3", *labels, *names, tolerant=True)
    lines = text.decode(errors="replace").splitlines()
    start = next((n for n, line in enumerate(lines) if line.startswith(_BEGIN)), None)
    if start is None:
        return text
    end = next(n for n, line in enumerate(lines) if n > start and line.startswith(_END))
    shown = lines[start : min(end + 1, start + _SHOWN_LINES)]
    count = sum(line.startswith(_BEGIN) for line in lines)
    found = (
        f"{path} has {count} conflict{'s' if count > 1 else ''}; the first is at line {start + 1}"
    )
    raise Refusal(MERGE_CONFLICT, name, found, evidence=shown)
