# SPDX-License-Identifier: GPL-2.0-or-later
"""The format of an author's input, recognised from its content.

Each way of writing live patches names something that the others do not have; `_MARKS` lists it.  A
recognised input carries the line that decided, so that an author can see the reason.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from suture.errors import FORMAT_AMBIGUOUS, FORMAT_UNKNOWN, NOT_A_PATCH, Refusal
from suture.host.files import paths_below, read_bytes

MANIFEST = "livepatch.toml"
"""The file that makes a directory or an archive the written form (`suture.formats.written`)."""

ELF_MAGIC = b"\x7fELF"


class Format(StrEnum):
    """The ways to write a live patch, as ``--format`` takes them."""

    DIFF = "diff"
    KPATCH = "kpatch"
    KSPLICE = "ksplice"
    KGRAFT = "kgraft"
    LIVEPATCH = "livepatch"
    KPATCH_OBJECT = "kpatch-object"
    SUTURE = "suture"


DIFFS = frozenset({Format.DIFF, Format.KPATCH, Format.KSPLICE})
"""Source diffs: the target's own files are compiled before and after."""

MODULES = frozenset({Format.KGRAFT, Format.LIVEPATCH})
"""C modules that name old and new functions."""

_MARKS = (
    (
        Format.KPATCH,
        re.compile(
            r'^\+\s*#\s*include\s*["<](?:linux/)?kpatch(?:-[\w-]+)?\.h[">]|^\+\s*_*KPATCH_[A-Z_]+\w*\s*\('
        ),
    ),
    (
        Format.KSPLICE,
        re.compile(
            r'^\+\s*#\s*include\s*["<](?:linux/)?ksplice(?:-[\w-]+)?\.h[">]'
            r"|^\+\s*(?:ksplice_[a-z_]+|DEFINE_SHADOW_FIELD)\s*\("
        ),
    ),
    (
        Format.KGRAFT,
        re.compile(r"^\s*#\s*include\s*<linux/kgraft\.h>|^[^/*]*\bstruct\s+kgr_patch\b"),
    ),
    (
        Format.LIVEPATCH,
        re.compile(
            r"^\s*#\s*include\s*<linux/livepatch\.h>|^[^/*]*\bstruct\s+klp_(?:patch|func)\b"
        ),
    ),
)
"""What gives a format away: lines that a diff adds, or lines of C."""

_KPATCH_CORE = re.compile(
    r'^\s*#\s*include\s*["<](?:linux/)?kpatch\.h[">]|^[^/*]*\bstruct\s+kpatch_(?:module|func)\b'
)
"""C that registers itself with kpatch's own core."""

_HUNK = re.compile(r"^@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@", re.MULTILINE)
_C_SUFFIXES = (".c", ".h")


@dataclass(frozen=True, slots=True)
class Input:
    """One input and its format.

    :ivar why: the evidence: ``fix.patch:12: +#include "kpatch-macros.h"``.
    :ivar strip: leading path components to drop from a diff's file names; None to detect.
    :ivar name: its name in messages, if `path` is a temporary file from an archive; else empty.
    :ivar only: of one of SUSE's directories, the fixes to take; none of them: all.
    """

    path: Path
    format: Format
    why: str
    strip: int | None = None
    name: str = ""
    only: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name or str(self.path)


def recognise(
    path: Path, wanted: Format | None = None, strip: int | None = None, name: str = ""
) -> Input:
    """Recognise the format of an input.

    :param wanted: the format that the author gives.
    :param name: `Input.name`.
    :raises Refusal: ``format-unknown``, ``format-ambiguous``, ``not-a-patch``, ``file-unreadable``
    """
    if wanted is not None:
        return Input(path, wanted, "--format says so", strip, name)
    found, why = _of_directory(path) if path.is_dir() else _of_file(path, name or str(path))
    return Input(path, found, why, strip, name)


def _of_directory(directory: Path) -> tuple[Format, str]:
    if (directory / MANIFEST).is_file():
        return Format.SUTURE, f"{directory / MANIFEST} exists"
    sources = [
        path for path in paths_below(directory) if path.suffix in _C_SUFFIXES and path.is_file()
    ]
    marks: list[tuple[Format, str]] = []
    for path in sources:
        marks += _marks(str(path), _text(path), (Format.KGRAFT, Format.LIVEPATCH))
    if not marks:
        found = (
            f"contains no {MANIFEST}, no patches, and no C file that uses linux/kgraft.h or "
            "linux/livepatch.h"
        )
        raise Refusal(FORMAT_UNKNOWN, str(directory), found)
    # SUSE's livepatch packages use the kernel's API in most files and kGraft's in none, or the
    # other way round.
    return _only_one(str(directory), marks)


def _of_file(path: Path, name: str) -> tuple[Format, str]:
    """Return the format of a file, and why.

    :param name: the file's, for messages.
    """
    data = read_bytes(path)
    if path.name.endswith(".toml"):
        return (
            Format.SUTURE,
            f"its name ends with {MANIFEST}" if path.name == MANIFEST else "it is a .toml file",
        )
    if data.startswith(ELF_MAGIC):
        return Format.KPATCH_OBJECT, "it is an ELF file"
    if not _is_text(data):
        import tarfile

        if tarfile.is_tarfile(io.BytesIO(data)):
            return Format.SUTURE, "it is an archive"
        raise Refusal(NOT_A_PATCH, name, "is a binary file")
    text = data.decode("utf-8", errors="replace")
    if _HUNK.search(text):
        marks = list(_marks(name, text, (Format.KPATCH, Format.KSPLICE)))
        return (
            _only_one(name, marks)
            if marks
            else (Format.DIFF, "it contains hunks of a unified diff")
        )
    marks = list(_marks(name, text, (Format.KGRAFT, Format.LIVEPATCH)))
    if not marks and path.suffix in _C_SUFFIXES:
        from suture.formats.cmodule import (
            with_headers,
        )  # the command line wants the names of the formats alone

        included = (
            (str(path.parent / header), data.decode(errors="replace"))
            for header, data in with_headers(path).items()
        )
        marks = []
        for each in included:
            marks += _marks(*each, (Format.KGRAFT, Format.LIVEPATCH))
    if marks:
        return _only_one(name, marks)
    if path.suffix in _C_SUFFIXES:
        for number, line in enumerate(text.split("\n"), 1):
            if _KPATCH_CORE.search(line):
                found = (
                    "is C for kpatch's own core, which finds functions by addresses that "
                    "kpatch-build wrote"
                )
                remedy = "Give the source diff, or the module that kpatch-build made from it."
                raise Refusal(FORMAT_UNKNOWN, f"{name}:{number}", found, remedy=remedy)
        raise Refusal(
            FORMAT_UNKNOWN, name, "is C that uses neither linux/kgraft.h nor linux/livepatch.h"
        )
    raise Refusal(
        NOT_A_PATCH,
        name,
        "is empty" if not text.strip() else "contains no hunk of a unified diff",
    )


def _marks(name: str, text: str, formats: Sequence[Format]) -> Iterator[tuple[Format, str]]:
    """Yield the first mark of each of `formats`, with its line."""
    lines = text.split("\n")
    for format, pattern in _MARKS:
        if format in formats:
            first = next(
                ((number, line) for number, line in enumerate(lines, 1) if pattern.search(line)),
                None,
            )
            if first is not None:
                yield format, f"{name}:{first[0]}: {first[1].strip()}"


def _only_one(name: str, marks: Sequence[tuple[Format, str]]) -> tuple[Format, str]:
    formats = {format for format, _ in marks}
    if (
        Format.KGRAFT in formats
    ):  # a module that also runs on kernels with livepatch chooses by the preprocessor
        formats.discard(Format.LIVEPATCH)
    if len(formats) > 1:
        raise Refusal(
            FORMAT_AMBIGUOUS,
            name,
            f"could be {' or '.join(sorted(formats))}",
            evidence=[w for _, w in marks],
        )
    return next((format, why) for format, why in marks if format in formats)


def _is_text(data: bytes) -> bool:
    return b"\0" not in data


def _text(path: Path) -> str:
    return read_bytes(path).decode("utf-8", errors="replace")
