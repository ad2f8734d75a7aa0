# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches for whatever kernel version is at hand: made from edits of its own source."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Edit:
    """In file `path`, `old` becomes `new`; `old` must stand there once."""

    path: str
    old: str
    new: str


def diff(tree: Path, *edits: Edit) -> str:
    """A unified diff, as ``git diff`` writes it, of edits to the source in `tree`."""
    return "".join(
        _file_diff(tree, path, [e for e in edits if e.path == path]) for path in _paths(edits)
    )


def _paths(edits: tuple[Edit, ...]) -> list[str]:
    return list(dict.fromkeys(edit.path for edit in edits))


def _file_diff(tree: Path, path: str, edits: list[Edit]) -> str:
    before = (tree / path).read_text()
    after = before
    for edit in edits:
        assert after.count(edit.old) == 1, (
            f"{path} holds {after.count(edit.old)} times {edit.old!r}"
        )
        after = after.replace(edit.old, edit.new)
    lines = difflib.unified_diff(
        before.splitlines(True), after.splitlines(True), f"a/{path}", f"b/{path}"
    )
    return "".join(lines)


def appended(path: str, text: str, after: str = "\nfs_initcall(") -> Edit:
    """`text` before the line of a file that begins with `after`."""
    return Edit(path, after, f"\n{text}{after}")


NEW_UNAME = Edit(
    "kernel/sys.c",
    "\tmemcpy(&tmp, utsname(), sizeof(tmp));\n\tup_read(&uts_sem);\n"
    "\tif (copy_to_user(name, &tmp, sizeof(tmp)))\n\t\treturn -EFAULT;\n\n"
    "\tif (override_release(name->release, sizeof(name->release)))\n\t\treturn -EFAULT;\n"
    "\tif (override_architecture(name))\n\t\treturn -EFAULT;\n\treturn 0;\n}\n\n#ifdef __ARCH_WANT_SYS_OLD_UNAME",
    "\tmemcpy(&tmp, utsname(), sizeof(tmp));\n\tup_read(&uts_sem);\n"
    "\ttmp.sysname[0] = 'S';\n"
    "\tif (copy_to_user(name, &tmp, sizeof(tmp)))\n\t\treturn -EFAULT;\n\n"
    "\tif (override_release(name->release, sizeof(name->release)))\n\t\treturn -EFAULT;\n"
    "\tif (override_architecture(name))\n\t\treturn -EFAULT;\n\treturn 0;\n}\n\n#ifdef __ARCH_WANT_SYS_OLD_UNAME",
)
"""What uname(2) gives as the system begins with an S."""
