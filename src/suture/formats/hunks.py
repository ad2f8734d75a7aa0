# SPDX-License-Identifier: GPL-2.0-or-later
"""Damage in the hunks of a unified diff, found at its line.

``@@ -30,7 +30,8 @@`` announces seven lines before and eight after the change.  Editors and mail
programs damage what follows: a line is broken in two, a blank is taken from the beginning of empty
lines (GNU patch and git accept that), or somebody edited a hunk and left the numbers as they were.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from suture.errors import NOT_A_PATCH, Refusal

_HEADER = re.compile(r"^@@ -\d+(?:,(?P<old>\d{1,9}))? \+\d+(?:,(?P<new>\d{1,9}))? @@")
_FILE = re.compile(r"^\+\+\+ (?P<name>[^\t\n]+)")
_BEGINNINGS = (" ", "+", "-", "\n", "\\")
_NO_NEWLINE = "\\"
"""``\\ No newline at end of file``"""

_WRAPPED = "Mail programs break long lines; send and save patches as attachments, or with git."


def refuse_damaged(name: str, lines: Sequence[str]) -> None:
    """Refuse the first hunk whose lines are not those that its header announces.

    :param name: the patch file's, for the message.
    :raises Refusal: ``not-a-patch``
    """
    number, path = 0, ""
    while number < len(lines):
        line = lines[number]
        if named := _FILE.match(line):
            path = named["name"]
        header = _HEADER.match(line)
        number += 1
        if header:
            number = _after_hunk(name, path, lines, number, header)


def _after_hunk(
    name: str, path: str, lines: Sequence[str], number: int, header: re.Match[str]
) -> int:
    """Return the number of the line after a hunk.

    :param number: of the line after its header, from 0; so it is the header's, from 1.
    """
    start = number
    old, new = (int(header[side] or "1") for side in ("old", "new"))
    wanted = f"{old} lines before and {new} after the change"
    seen_old = seen_new = 0
    while seen_old < old or seen_new < new:
        line = lines[number] if number < len(lines) else ""
        if not line.startswith(_BEGINNINGS) or _is_next_file(lines, number):
            found = f"the hunk of {path} announces {wanted}, and has {seen_old} and {seen_new}"
            _refuse(name, start, found, number, line)
        if not line.startswith(_NO_NEWLINE):
            seen_old += not line.startswith("+")
            seen_new += not line.startswith("-")
        number += 1
    if seen_old > old or seen_new > new or _goes_on(lines, number):
        # GNU patch would leave out what follows, as text between the diffs.
        found = f"the hunk of {path} announces {wanted}, and has more"
        at = number if _goes_on(lines, number) else number - 1
        _refuse(name, start, found, at, lines[at])
    return number


def _is_next_file(lines: Sequence[str], number: int) -> bool:
    """Tell whether the names of the next file begin here, not a removed line ``-- x``."""
    marks = ("--- ", "+++ ", "@@ ")
    following = lines[number : number + len(marks)]
    return len(following) == len(marks) and all(map(str.startswith, following, marks))


def _goes_on(lines: Sequence[str], number: int) -> bool:
    """Tell whether the line after a hunk looks like a line of it."""
    line = lines[number] if number < len(lines) else ""
    if _is_next_file(lines, number) or line.rstrip() == "--":  # the signature of a mail
        return False
    return line.startswith((" ", "+", "-"))


def _refuse(name: str, start: int, found: str, number: int, line: str) -> None:
    """Refuse a damaged hunk.

    :param start: the number of its header, from 1; `number`: of the line that shows it, from 0.
    :param line: "" at the end of the file.
    """
    ends = line.startswith(("@@", "diff ", "-- ")) or not line.strip()
    shown = "the file ends there" if not line else f"line {number + 1}: {line.rstrip()}"
    raise Refusal(
        NOT_A_PATCH,
        f"{name}:{start}",
        found,
        remedy="Make the diff again." if ends else f"Make the diff again. {_WRAPPED}",
        evidence=[shown],
    )
