# SPDX-License-Identifier: GPL-2.0-or-later
"""Unified diffs: the files of the kernel tree that a patch changes, and how.

1. The text is read; binary patches, DOS line ends and files without hunks are refused.
2. The number of leading path components to strip is determined, as for ``patch -p``.
3. Every path is checked: it is inside the tree, and a regular file.

`suture.workspace.overlay` applies the patch, because only the tree can show whether it fits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchedFile, PatchSet

from suture.errors import NOT_A_PATCH, PATCH_HAS_BINARY, PATCH_HAS_CRLF, PATCH_PATH_ESCAPES, Refusal
from suture.formats import messages
from suture.formats.hunks import refuse_damaged
from suture.host.files import read_bytes
from suture.model import Fix

TREE_TOP = frozenset(
    (
        "arch", "block", "certs", "crypto", "Documentation", "drivers", "fs", "include", "init",
        "io_uring", "ipc", "kernel", "lib", "LICENSES", "mm", "net", "rust", "samples", "scripts",
        "security", "sound", "tools", "usr", "virt", "COPYING", "CREDITS", "Kbuild", "Kconfig",
        "MAINTAINERS", "Makefile", "README",
    )
)  # fmt: skip
"""What stands at the top of a kernel tree: tells ``-p0`` paths from ``-p1`` paths."""

NO_FILE = "/dev/null"
_BLOBS = re.compile(r"^index ([0-9a-f]{7,64})\.\.([0-9a-f]{7,64})", re.MULTILINE)
_SYMLINK_OR_SUBMODULE = re.compile(
    r"^(?:new file mode|deleted file mode|new mode|old mode) 1[26]0000$", re.MULTILINE
)
_BINARY = re.compile(r"^(?:GIT binary patch|Binary files .* differ)$", re.MULTILINE)


class ChangeKind(StrEnum):
    """The effect of a diff on a file."""

    MODIFIED = "modified"
    ADDED = "added"
    REMOVED = "removed"
    RENAMED = "renamed"


@dataclass(frozen=True, slots=True)
class Hunk:
    """One hunk: 1-based first lines and line counts, as in ``@@ -old_start,old_length
    +new_start,new_length @@``."""

    old_start: int
    old_length: int
    new_start: int
    new_length: int


@dataclass(frozen=True, slots=True)
class FileChange:
    """The change of one file.

    :ivar path: from the top of the tree, after the change.
    :ivar old_path: before the change; differs from `path` if the file is renamed.
    :ivar blobs: git's names of the file's contents before and after; None where the diff has none.
    """

    path: str
    old_path: str
    kind: ChangeKind
    hunks: tuple[Hunk, ...]
    blobs: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class PatchFile:
    """One patch file.

    :ivar name: as the user named it, for messages.
    :ivar text: its bytes, as ``patch`` reads them.
    :ivar strip: the number of leading path components that ``patch -p`` strips.
    :ivar changes: in the order of the patch; a file may occur more than once.
    :ivar fixes: what the file says of them.
    """

    name: str
    text: bytes
    strip: int
    changes: tuple[FileChange, ...]
    fixes: tuple[Fix, ...] = ()


@dataclass(frozen=True, slots=True)
class PatchSource:
    """The patch files of one live patch, in the order in which they apply.

    :ivar fuzz: the number of context lines that may be ignored, as for ``patch --fuzz``.
    :ivar repository: a git repository with the blobs for a three-way merge; None for no merge.
    """

    files: tuple[PatchFile, ...]
    fuzz: int = 0
    repository: Path | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """All paths that are changed, old and new names, sorted, each once."""
        changes = [change for file in self.files for change in file.changes]
        return tuple(
            sorted({path for change in changes for path in (change.path, change.old_path)})
        )


def read(paths: Sequence[Path], strip: int | None = None) -> PatchSource:
    """Read patch files.

    :param paths: in the order in which they apply.
    :param strip: leading path components to strip; None to find out (1 as git writes them, else 0).
    :raises Refusal: ``not-a-patch``, ``patch-has-binary``, ``patch-path-escapes``,
        ``patch-has-crlf``, ``file-unreadable``
    """
    return PatchSource(tuple(parse(str(path), read_bytes(path), strip) for path in paths))


def parse(name: str, data: bytes, strip: int | None = None) -> PatchFile:
    """Parse a patch that is in memory; `name` is for messages."""
    data = messages.decoded(data)
    text = _decode(name, data)
    if re.search(r"^(?:---|\+\+\+|@@) .*\r$", text, re.MULTILINE):
        raise Refusal(PATCH_HAS_CRLF, name, "its lines end with CR LF")
    # A line ends with a line feed alone: str.splitlines() would also take the form feeds in old C
    # files for an end.
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    refuse_damaged(name, lines)
    try:
        files = [file for file in PatchSet(lines) if _says_something(name, file)]
    except (
        UnidiffParseError,
        ValueError,
    ) as error:  # int() takes no numbers of thousands of digits
        raise Refusal(NOT_A_PATCH, name, f"the diff is damaged: {error}") from error
    if not files:
        raise Refusal(
            NOT_A_PATCH,
            name,
            "is empty" if not text.strip() else "contains no hunk of a unified diff",
        )
    level = _strip_level(files) if strip is None else strip
    changes = tuple(_change(name, file, level) for file in files)
    return PatchFile(name, data, level, changes, messages.fixes(text))


def _decode(name: str, data: bytes) -> str:
    if b"\0" in data:
        raise Refusal(NOT_A_PATCH, name, "is a binary file")
    # Only names and line counts are taken from the text, and a few kernel files are not UTF-8.
    return data.decode("utf-8", errors="surrogateescape")


def _says_something(name: str, file: PatchedFile) -> bool:
    """Tell whether a diff changes more of a file than its mode."""
    header = str(file.patch_info or "")
    if file.is_binary_file or _BINARY.search(header):
        raise Refusal(PATCH_HAS_BINARY, name, f"changes the binary file {file.path}")
    if _SYMLINK_OR_SUBMODULE.search(header):
        raise Refusal(PATCH_PATH_ESCAPES, name, f"{file.path} is a symbolic link or a submodule")
    return bool(len(file)) or file.is_rename or file.is_added_file or file.is_removed_file


def _names(file: PatchedFile) -> tuple[str, str]:
    # A time stamp may follow the name after a tab (GNU diff); unidiff leaves none, older versions
    # did.
    return file.source_file.split("\t")[0], file.target_file.split("\t")[0]


def _strip_level(files: Sequence[PatchedFile]) -> int:
    """Return 0 if the paths are those of a kernel tree, else 1, as git writes them."""
    names = [name for file in files for name in _names(file) if name != NO_FILE]
    # 'a/', 'b/' and 'linux-6.1/' are no top directories.
    return 0 if all(name.split("/")[0] in TREE_TOP for name in names) else 1


def _strip(name: str, level: int) -> str:
    """Strip components as ``patch -p`` does: several slashes in a row are one separator."""
    return "/".join(re.split("/+", name)[level:])


def _change(patch: str, file: PatchedFile, level: int) -> FileChange:
    source, target = _names(file)
    added, removed = source == NO_FILE, target == NO_FILE
    if added and removed:
        raise Refusal(NOT_A_PATCH, patch, "a file is both added and removed")
    old = "" if added else _path(patch, source, level)
    new = "" if removed else _path(patch, target, level)
    hunks = tuple(
        Hunk(h.source_start, h.source_length, h.target_start, h.target_length) for h in file
    )
    blobs = _blobs(file)
    if added:
        return FileChange(new, new, ChangeKind.ADDED, hunks, blobs)
    if removed:
        return FileChange(old, old, ChangeKind.REMOVED, hunks, blobs)
    if old != new and file.is_rename:
        return FileChange(new, old, ChangeKind.RENAMED, hunks, blobs)
    # `diff -u fs/x.c.orig fs/x.c`: patch(1) takes the shorter name of the two.
    path = min(
        (old, new), key=lambda name: (name.count("/"), len(PurePosixPath(name).name), len(name))
    )
    return FileChange(path, path, ChangeKind.MODIFIED, hunks, blobs)


def _blobs(file: PatchedFile) -> tuple[str, str] | None:
    """Return the blobs that the lines above a file's diff name; those of the mail before it, if
    any, stand further up."""
    found: list[tuple[str, str]] = _BLOBS.findall(str(file.patch_info or ""))
    return found[-1] if found else None


def _path(patch: str, name: str, level: int) -> str:
    path = _strip(name, level)
    parts = path.split("/")
    if name.startswith('"'):
        raise Refusal(PATCH_PATH_ESCAPES, patch, f"contains the quoted file name {name}")
    if not path or path.startswith("/") or ".." in parts or "." in parts or "" in parts:
        raise Refusal(
            PATCH_PATH_ESCAPES,
            patch,
            f"names {name}, which -p{level} turns into {path or 'nothing'}",
        )
    return path
