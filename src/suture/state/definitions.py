# SPDX-License-Identifier: GPL-2.0-or-later
"""Places in the source files of a patch: where a type is defined, and which functions use a
member."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from suture.state.places import Place, lines_of, used_at
from suture.workspace.applying import Changed


def defined_at(changes: Sequence[Changed], name: str) -> Place | None:
    """Return where a changed file defines ``struct NAME`` or ends ``typedef struct { ... } NAME;``;
    None where none does."""
    keyword, _, tag = name.partition(" ")
    text = rf"\b{keyword}\s+{tag}\s*(\{{|$)" if tag else rf"^\}}\s*{keyword}\s*;"
    pattern = re.compile(text, re.ASCII)
    for change in changes:
        for number, line in enumerate(lines_of(change.new), 1):
            if pattern.search(line):
                return Place(change.path, number)
    return None


def declared_as(changes: Sequence[Changed], name: str, member: str) -> str:
    """Return the type with which a definition in a changed file declares a member, or ""."""
    pattern = re.compile(rf"^\s*([\w\s]+?)\s*\b{re.escape(member)}\s*;", re.ASCII)
    place = defined_at(changes, name)
    for change in changes:
        if place is None or change.path != place.path:
            continue
        for line in lines_of(change.new)[place.line :]:
            if line.startswith("}"):
                break
            if match := pattern.match(line):
                return " ".join(match[1].split())
    return ""


def users(
    changes: Sequence[Changed], names: Sequence[str], *, of_object: bool = False
) -> Iterator[Place]:
    """Yield the first place in each function of the changed files that uses one of these members,
    variables or constants.

    :param of_object: whether they are members, which stand behind ``->`` or a dot.
    """
    if not names:
        return
    before = r"(->|\.)\s*" if of_object else r"\b"
    pattern = re.compile(rf"{before}({'|'.join(map(re.escape, names))})\b", re.ASCII)
    for change in changes:
        yield from used_at(change.path, change.new, pattern)
