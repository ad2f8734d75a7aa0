# SPDX-License-Identifier: GPL-2.0-or-later
"""The patched side: the tree as it is after the patch; the pristine one stays unchanged.

1. GNU patch patches copies of the files that the patch names, in a scratch directory (`apply`).
2. A shadow tree covers the pristine one: the directories that lead to a changed file are real, the
   changed files are real, and everything else in those directories is a symbolic link into the
   pristine tree (`shadow`).

The compiler runs in the shadow with the same relative names, so that both sides have the same
``__FILE__``.  A header that is reached as ``linked-directory/../x.h`` leaves the shadow, because
the kernel resolves the link first; `Shadow.escaped` finds such headers in the compiler's own list
of the files it read, and `Shadow.materialise` makes their directories real.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
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

_FAILED = re.compile(r"^Hunk #(\d+) FAILED at (\d+)", re.MULTILINE)
_REJECT_LINES = 12


@dataclass(frozen=True, slots=True)
class Changed:
    """One file that the patch changes, before and after.

    :ivar old: its content in the pristine tree; None if the patch adds it.
    """

    path: str
    old: bytes | None
    new: bytes


def apply(tree: Path, patch: PatchSource) -> tuple[Changed, ...]:
    """Return the files that `patch` changes, sorted by path, without files whose content stays the
    same.

    Every context line must match (``--fuzz=0``); a hunk may apply at another line than the patch
    says.

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
        for file in patch.files:
            _refuse_moves(file)
            _apply_one(work, file, Path(scratch, "rejects"))
        changed = [_changed(tree, work, path) for path in patch.paths]
    return tuple(change for change in changed if change.new != change.old)


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


def _apply_one(work: Path, file: PatchFile, rejects: Path) -> None:
    for change in file.changes:
        if change.kind is not ChangeKind.ADDED and not (work / change.old_path).is_file():
            raise Refusal(
                PATCH_DOES_NOT_APPLY, file.name, f"the target's source has no {change.old_path}"
            )
    before = {change.path: _lines(work / change.path) for change in file.changes}
    finished = _patch(work, file, f"--reject-file={rejects}", "--forward")
    if finished.status != 0:
        for change in file.changes:  # as it was, to try the reverse
            _restore(work / change.path, before[change.path])
        if _patch(work, file, "--reverse", "--dry-run").status == 0:
            raise Refusal(
                PATCH_ALREADY_APPLIED,
                file.name,
                f"the target already has it: {_first(file.changes)}",
            )
        raise _does_not_apply(file, finished, rejects, before)
    moved = [line for line in finished.stdout.splitlines() if "(offset " in line]
    if moved:
        note(f"{file.name}: {len(moved)} hunk(s) applied with an offset")


def _patch(work: Path, file: PatchFile, *options: str) -> Finished:
    text = work.with_name("patch")
    text.write_bytes(file.text)
    command = [
        "patch",
        f"-p{file.strip}",
        "--fuzz=0",
        "--batch",
        "--no-backup-if-mismatch",
        f"--input={text}",
    ]
    return run([*command, *options], cwd=work, env=clean_environment())


def _restore(path: Path, lines: list[bytes] | None) -> None:
    if lines is None:
        path.unlink(missing_ok=True)
    else:
        path.write_bytes(b"".join(lines))


def _first(changes: tuple[FileChange, ...]) -> str:
    return (
        changes[0].path if len(changes) == 1 else f"{changes[0].path} and {len(changes) - 1} more"
    )


def _does_not_apply(
    file: PatchFile, finished: Finished, rejects: Path, before: Mapping[str, list[bytes] | None]
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
                evidence=_compare(rejects, before.get(path) or [], at),
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
        have = (
            lines[index].decode(errors="replace").rstrip("\n")
            if 0 <= index < len(lines)
            else "(end of file)"
        )
        if have != want:
            return [
                *evidence,
                f"line {index + 1} of the target:",
                f"  {have}",
                "where the patch expects:",
                f"  {want}",
            ]
    return evidence


def _lines(path: Path) -> list[bytes] | None:
    return path.read_bytes().splitlines(keepends=True) if path.is_file() else None


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
