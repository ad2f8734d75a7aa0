# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches applied to copies of the target's files; the pristine tree stays unchanged.

1. GNU patch applies each patch file with all context lines (``--fuzz=0``); a hunk may have moved.
2. Where a hunk does not fit, and the author allows it, the patch is adapted: with fewer context
   lines (``--fuzz``), or by a three-way merge with the files that the commit started from
   (`suture.workspace.merging`).
3. What an adapted patch changes in the target is kept as a diff, to be looked at.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from suture.errors import (
    PATCH_ALREADY_APPLIED,
    PATCH_DOES_NOT_APPLY,
    PATCH_PATH_ESCAPES,
    SOURCE_REMOVED,
    SOURCE_RENAMED,
    Refusal,
)
from suture.formats.diff import ChangeKind, FileChange, PatchFile, PatchSource
from suture.host.files import cannot_write, temporary_directory
from suture.host.progress import note
from suture.host.run import Finished, run
from suture.workspace.kbuild import clean_environment
from suture.workspace.merging import merged

_FAILED = re.compile(r"^Hunk #(\d+) FAILED at (\d+)", re.MULTILINE)
_FUZZY = re.compile(r"^Hunk #\d+ succeeded at .*\bfuzz (\d+)", re.MULTILINE)
_REJECT_LINES = 12


@dataclass(frozen=True, slots=True)
class Changed:
    """One file that the patch changes, before and after.

    :ivar old: its content in the pristine tree; None if the patch adds it.
    """

    path: str
    old: bytes | None
    new: bytes


@dataclass(frozen=True, slots=True)
class Adapted:
    """A patch file that did not fit as it is written.

    :ivar name: the patch file.
    :ivar how: ``with fuzz 1``, ``by a three-way merge``.
    :ivar diff: what it changes in the target, as a unified diff with ``a/`` and ``b/``.
    """

    name: str
    how: str
    diff: str

    def __str__(self) -> str:
        return f"{self.name} was adapted {self.how}"


@dataclass(frozen=True, slots=True)
class Applied:
    """A patch, applied.

    :ivar changes: sorted by path, without files whose content stays the same.
    :ivar adapted: the patch files that were adapted.
    """

    changes: tuple[Changed, ...]
    adapted: tuple[Adapted, ...] = ()


def apply(tree: Path, patch: PatchSource) -> Applied:
    """Return the files that `patch` changes.

    :raises Refusal: ``patch-does-not-apply``, ``patch-already-applied``, ``patch-path-escapes``,
        ``source-removed``, ``source-renamed``, ``no-space``
    """
    with temporary_directory() as scratch:
        work = Path(scratch, "tree")
        try:
            work.mkdir()
            for path in patch.paths:
                _copy(tree, work, path)
        except OSError as error:
            raise cannot_write(work, error) from error
        adapted = []
        for file in patch.files:
            _refuse_moves(file)
            before = _contents(work, file)
            how = _apply_one(work, file, patch, Path(scratch, "rejects"))
            if how:
                adapted.append(Adapted(file.name, how, _diff(before, _contents(work, file))))
                note(str(adapted[-1]))
        changed = [_changed(tree, work, path) for path in patch.paths]
    return Applied(tuple(one for one in changed if one.new != one.old), tuple(adapted))


def _refuse_moves(file: PatchFile) -> None:
    for change in file.changes:
        if not _is_code(change.path):
            continue
        if change.kind is ChangeKind.REMOVED:
            raise Refusal(SOURCE_REMOVED, file.name, f"deletes {change.path}")
        if change.kind is ChangeKind.RENAMED:
            raise Refusal(SOURCE_RENAMED, file.name, f"renames {change.old_path} to {change.path}")


def _is_code(path: str) -> bool:
    return path.endswith((".c", ".h", ".S"))


def _copy(tree: Path, work: Path, path: str) -> None:
    source = tree / path
    if os.path.lexists(source) and (
        source.resolve() != tree.resolve() / path or not source.is_file()
    ):
        raise Refusal(
            PATCH_PATH_ESCAPES,
            path,
            "is not a regular file of the tree, or its path contains a symbolic link",
        )
    (work / path).parent.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        (work / path).write_bytes(source.read_bytes())


def _changed(tree: Path, work: Path, path: str) -> Changed:
    old = (tree / path).read_bytes() if (tree / path).is_file() else None
    # What is deleted or moved away and is no code (a document) has no content worth compiling.
    return Changed(path, old, (work / path).read_bytes() if (work / path).is_file() else b"")


def _apply_one(work: Path, file: PatchFile, patch: PatchSource, rejects: Path) -> str:
    """Apply one patch file, and return how it was adapted; "" for as it is written.

    :raises Refusal: ``patch-does-not-apply``, ``patch-already-applied``
    """
    for change in file.changes:
        if change.kind is not ChangeKind.ADDED and not (work / change.old_path).is_file():
            raise Refusal(
                PATCH_DOES_NOT_APPLY, file.name, f"the target's source has no {change.old_path}"
            )
    before = _contents(work, file)
    finished = _patch(work, file, "--fuzz=0", f"--reject-file={rejects}", "--forward")
    if finished.status == 0:
        moved = [line for line in finished.stdout.splitlines() if "(offset " in line]
        if moved:
            note(f"{file.name}: {len(moved)} hunk(s) applied with an offset")
        return ""
    refusal = _does_not_apply(file, finished, rejects, before)
    _restore(work, before)
    if _patch(work, file, "--fuzz=0", "--reverse", "--dry-run").status == 0:
        found = f"the target already has it: {_first(file.changes)}"
        raise Refusal(PATCH_ALREADY_APPLIED, file.name, found)
    if patch.fuzz:
        again = _patch(work, file, f"--fuzz={patch.fuzz}", f"--reject-file={rejects}", "--forward")
        if again.status == 0:
            return f"with fuzz {max(map(int, _FUZZY.findall(again.stdout)), default=patch.fuzz)}"
        _restore(work, before)
    if patch.repository is not None:
        _restore(work, merged(file, before, patch.repository))
        return "by a three-way merge"
    raise refusal


def _patch(work: Path, file: PatchFile, *options: str) -> Finished:
    text = work.with_name("patch")
    text.write_bytes(file.text)
    command = ["patch", f"-p{file.strip}", "--batch", "--no-backup-if-mismatch", f"--input={text}"]
    return run([*command, *options], cwd=work, env=clean_environment())


def _contents(work: Path, file: PatchFile) -> dict[str, bytes | None]:
    """Return the files of a patch file as they are now; None for one that is not there."""
    paths = [work / change.path for change in file.changes]
    return {
        change.path: path.read_bytes() if path.is_file() else None
        for change, path in zip(file.changes, paths, strict=True)
    }


def _restore(work: Path, contents: Mapping[str, bytes | None]) -> None:
    for path, content in contents.items():
        if content is None:
            (work / path).unlink(missing_ok=True)
        else:
            (work / path).write_bytes(content)


def _first(changes: tuple[FileChange, ...]) -> str:
    return (
        changes[0].path if len(changes) == 1 else f"{changes[0].path} and {len(changes) - 1} more"
    )


def _diff(before: Mapping[str, bytes | None], after: Mapping[str, bytes | None]) -> str:
    """Return the change of some files as a unified diff."""
    text = ""
    for path, old in before.items():
        before_lines, after_lines = map(_lines, (old, after[path]))
        text += "".join(difflib.unified_diff(before_lines, after_lines, f"a/{path}", f"b/{path}"))
    return text


def _lines(content: bytes | None) -> list[str]:
    """Return lines as text; a line ends with a line feed alone."""
    return [f"{line}\n" for line in (content or b"").decode(errors="replace").split("\n")][:-1]


def _does_not_apply(
    file: PatchFile, finished: Finished, rejects: Path, before: Mapping[str, bytes | None]
) -> Refusal:
    """Return the refusal: the first hunk that failed, with the lines that it expects and those of
    the target."""
    path = ""
    for line in finished.stdout.splitlines():
        named = re.match(r"(?:patching|checking) file '?(.*?)'?(?: \(.*\))?$", line)
        path = named[1] if named else path
        failed = _FAILED.match(line)
        if failed:
            hunk, at = int(failed[1]), int(failed[2])
            return Refusal(
                PATCH_DOES_NOT_APPLY,
                file.name,
                f"hunk {hunk} of {path} fails at line {at}",
                evidence=_compare(rejects, (before.get(path) or b"").splitlines(), at),
            )
    output = (finished.stdout + finished.stderr).splitlines()
    return Refusal(
        PATCH_DOES_NOT_APPLY,
        file.name,
        f"patch exited with status {finished.status}",
        evidence=output[-10:],
    )


def _compare(rejects: Path, lines: list[bytes], at: int) -> list[str]:
    try:
        text = rejects.read_text(errors="replace").splitlines()
    except OSError:
        return []
    start = next((number for number, line in enumerate(text) if line.startswith("@@")), len(text))
    end = next(
        (n for n in range(start + 1, len(text)) if text[n].startswith(("@@", "--- "))), len(text)
    )
    hunk = text[start + 1 : end]
    expected = [line[1:] for line in hunk if line[:1] in (" ", "-", "")]
    evidence = ["the hunk:", *(f"  {line}" for line in hunk[:_REJECT_LINES])]
    for offset, want in enumerate(expected):
        index = at - 1 + offset
        have = lines[index].decode(errors="replace") if 0 <= index < len(lines) else "(end of file)"
        if have != want:
            return [
                *evidence,
                f"line {index + 1} of the target:",
                f"  {have}",
                "where the patch expects:",
                f"  {want}",
            ]
    return evidence
