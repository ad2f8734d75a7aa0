# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of a patch: those that the kernel's code is made from, and those that it is not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from suture.errors import ASSEMBLY_FILE, BUILD_SYSTEM_CHANGED, NO_CODE_CHANGE, Refusal
from suture.host.progress import note
from suture.workspace.applying import Changed
from suture.workspace.comments import only_comments_differ
from suture.workspace.programs import refuse_separate

NO_CODE = frozenset(
    {"Documentation", "LICENSES", "samples", "COPYING", "CREDITS", "MAINTAINERS", "README"}
)
"""At the top of the tree: what no kernel is made of."""

NO_CODE_SUFFIXES = (
    ".rst",
    ".txt",
    ".md",
    ".gitignore",
    ".mailmap",
    ".clang-format",
    ".gitattributes",
    ".cocciconfig",
)
TABLES = ("-opcode-map.txt",)
"""Text that the build makes C from (arch/x86/lib/Makefile: ``inat-tables.c``)."""


@dataclass(frozen=True, slots=True)
class LeftOutFile:
    """A changed file that has no say in the target's code, and why."""

    path: str
    why: str

    def __str__(self) -> str:
        return f"{self.path} is left out: {self.why}"


@dataclass(frozen=True, slots=True)
class SortedFiles:
    """The changes of a patch that can change the code, and the files that cannot."""

    code: tuple[Changed, ...]
    left_out: tuple[LeftOutFile, ...]


def leave_out(path: str, why: str) -> LeftOutFile:
    """Leave a file out, and say so."""
    found = LeftOutFile(path, why)
    note(str(found))
    return found


def sort(changes: Sequence[Changed], architecture: str) -> SortedFiles:
    """Tell the changes that can change the code from those that cannot.

    :raises Refusal: ``assembly-file``, ``build-system-changed``, ``separate-program``,
        ``no-code-change``
    """
    code, left_out = [], []
    for change in changes:
        reason = _without_code(change.path, architecture)
        if reason:
            left_out.append(leave_out(change.path, reason))
            continue
        _refuse_build_system(change.path)
        if (
            change.path.endswith(".h")
            and change.old is not None
            and only_comments_differ(change.old, change.new)
        ):
            why = "only comments change, so no object changes with it"
            left_out.append(leave_out(change.path, why))
            continue
        code.append(change)
    if not code:
        found = ", ".join(change.path for change in changes) or "the patch does not change any file"
        raise Refusal(NO_CODE_CHANGE, "the patch", found)
    return SortedFiles(tuple(code), tuple(left_out))


def _without_code(path: str, architecture: str) -> str:
    parts = path.split("/")
    is_text = path.endswith(NO_CODE_SUFFIXES) and not path.endswith(TABLES)
    if parts[0] in NO_CODE or is_text:
        return "it is not kernel code"
    if parts[0] == "arch" and len(parts) > 2 and parts[1] != architecture:
        return f"it is for {parts[1]}, the target is {architecture}"
    return ""


def _refuse_build_system(path: str) -> None:
    base = os.path.basename(path)
    if path.split("/")[0] == "tools":
        return
    if base.startswith(("Makefile", "Kbuild", "Kconfig")) or base.endswith(
        (".lds", ".lds.S", ".dts", ".dtsi", ".tbl")
    ):
        raise Refusal(BUILD_SYSTEM_CHANGED, path, "is part of the kernel's build system")
    if base.endswith(".S"):
        refuse_separate(path)
        raise Refusal(ASSEMBLY_FILE, path, "is written in assembly")
