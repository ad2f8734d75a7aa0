# SPDX-License-Identifier: GPL-2.0-or-later
"""Comparison of two versions of a header: do only bodies of static inline functions differ?

Such a change does not reach an object that includes these functions and does not mention them
(`suture.workspace.preprocessed`).  The preprocessed original shows that; the patched side need not
be preprocessed.
"""

from __future__ import annotations

from dataclasses import dataclass

from suture.workspace.comments import code, is_doubtful
from suture.workspace.lines import renumber
from suture.workspace.preprocessed import split


@dataclass(frozen=True, slots=True)
class _Header:
    """A header, split at its static inline functions.

    :ivar rest: each line outside the bodies with its number, and the functions in their places.
    :ivar bodies: each name with the lines from the opening brace on, numbered; a name may occur
        twice, in different groups of an ``#if``.
    """

    rest: list[tuple[int, bytes]]
    bodies: list[tuple[bytes, list[tuple[int, bytes]]]]


def changed_bodies(old: bytes, new: bytes) -> frozenset[bytes] | None:
    """Return the names of the static inline functions whose bodies differ; None if more differs, or
    in doubt.

    The first lines of the functions must stay: an attribute there may make the compiler keep a
    function that nothing mentions.
    """
    if is_doubtful(old) or is_doubtful(new):
        return None
    before, after = _read(old), _read(renumber(old, new))
    if before.rest != after.rest:
        return None
    return frozenset(
        name
        for (name, one), (_, other) in zip(before.bodies, after.bodies, strict=True)
        if one != other
    )


def _read(text: bytes) -> _Header:
    rest: list[tuple[int, bytes]] = []
    bodies = []
    numbered = code(text)
    index = 0
    for part in split([line for _, line in numbered]):
        lines = numbered[index : index + len(part.lines)]
        index += len(part.lines)
        if not part.name:
            rest += lines
            continue
        opens = next(place for place, (_, line) in enumerate(lines) if b"{" in line)
        rest += [*lines[:opens], (0, lines[opens][1].partition(b"{")[0]), (0, part.name)]
        bodies.append((part.name, lines[opens:]))
    return _Header(rest, bodies)
