# SPDX-License-Identifier: GPL-2.0-or-later
"""Places in the source files of a patch: where a type is defined, and which functions use a
member."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from suture.kernel.layouts import TypeLayout
from suture.state.places import Place, functions, lines_of
from suture.workspace.applying import Changed
from suture.workspace.comments import without_comments

SHARED = ("list_head", "work_struct", "completion", "wait_queue", "timer_list", "hrtimer", "rcu")
"""Parts of names of structures by which others reach an object that is on a stack."""


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
        places: dict[str, Place] = {}  # of a function that #ifdef gives two bodies, the first
        for body in functions(change.new):
            if body.name not in places and (line := body.first(pattern)):
                places[body.name] = Place(change.path, line, body.name)
        yield from places.values()


def lives_on_stacks(changes: Sequence[Changed], name: str, layout: TypeLayout) -> bool:
    """Whether a structure is defined in a C file, and every use of it is a local variable or a
    parameter that leads to one.

    Example: ``struct scan_control`` (mm/vmscan.c) is filled in by functions that reclaim memory,
    and passed down.  A pointer that comes from elsewhere, as ``struct x *p = data``, may lead
    anywhere.
    """
    files = [change for change in changes if change.path.endswith(".c") and _defines(change, name)]
    if len(files) != 1 or any(_is_shared(name) for name in layout.contains):
        return False
    others = [change for change in changes if change.path != files[0].path]
    if any(_mentions(one.new, name) for one in others):
        return False
    return all(_only_on_stacks(text, name) for text in (files[0].old or b"", files[0].new))


def _is_shared(name: str) -> bool:
    return any(part in name for part in SHARED)


def _defines(change: Changed, name: str) -> bool:
    return defined_at([change], name) is not None


def _mentions(text: bytes, name: str) -> bool:
    return re.search(name.replace(" ", r"\s+") + r"\b", text.decode(errors="replace")) is not None


def _only_on_stacks(source: bytes, name: str) -> bool:
    text = without_comments(source).decode(errors="replace")
    tag = name.replace(" ", r"\s+") + r"\b"
    local = re.compile(rf"^\s+{tag}\s+\w+(\[[^\]]*\])?\s*(=|;|,)", re.ASCII)
    parameter = re.compile(
        rf"[(,]?\s*(const\s+)?{tag}(\s*\*\s*(const\s+)?|\s+)\w+\s*[,)]", re.ASCII
    )
    definition = re.compile(rf"^{tag}\s*(\{{|;|$)", re.ASCII)
    at_top = 0
    for line in text.splitlines():
        found = len(re.findall(tag, line))
        if found:
            good = len(parameter.findall(line))
            if local.match(line) and not at_top:
                good += 1
            if definition.match(line):
                good += 1
            if good < found:
                return False
        at_top = _inside_aggregate(line, at_top)
    return True


def _inside_aggregate(line: str, inside: int) -> int:
    """Whether the next line is inside the braces of a type or an initial value at the top level."""
    if re.match(r"^(static\s+|const\s+|typedef\s+)*(struct|union)\b[^(;]*\{\s*$", line):
        return 1
    return 0 if line.startswith("}") else inside
