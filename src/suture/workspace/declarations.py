# SPDX-License-Identifier: GPL-2.0-or-later
"""Prototypes before and after a patch, from objects with debug information.

Most fixes change only the bodies of functions.  A comparison of the text outside the bodies shows
that in milliseconds; the compiler needs seconds.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from suture.elf.prototypes import Prototype, prototypes
from suture.workspace import objects
from suture.workspace.applying import Changed
from suture.workspace.command import Compilation
from suture.workspace.original import originals
from suture.workspace.patched import patched_objects
from suture.workspace.prepare import Workspace
from suture.workspace.store import Stored

_DEBUG = ("-g", "-fno-var-tracking", "-gno-variable-location-views")
"""Debug information without the places of local variables, which take the compiler a third of its
time."""

BODY = "{}"
"""Stands for the body of a function."""

_TOKEN = re.compile(
    r"""
    (?P<gone> /\*.*?\*/ | //[^\n]* )
    | (?P<directive> ^[ \t]*\#(?:\\\n|/\*.*?\*/|[^\n])* )
    | (?P<text> "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' | \w+ )
    | (?P<end> ^\} )
    | (?P<mark> [^\s] )
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)


def may_change_prototypes(changes: Iterable[Changed]) -> bool:
    """Tell whether a patch changes more of a file than comments and the bodies of functions."""
    return any(
        change.old is None or outside_bodies(change.old) != outside_bodies(change.new)
        for change in changes
    )


def outside_bodies(source: bytes) -> list[str]:
    """Return the tokens of C source, without comments and the bodies of functions (braces after a
    parenthesis), for which `BODY` stands.

    Preprocessor lines are kept everywhere, and so are the braces of structures and initial values.
    Each branch of an ``#if`` is read as if it were the only one; a closing brace at the start of a
    line then also closes excess braces.
    """
    kept: list[str] = []
    depth = 0
    outer: list[int] = []
    for token in _TOKEN.finditer(source.decode(errors="surrogateescape")):
        kind, text = token.lastgroup, token[0]
        if kind == "directive":
            kept.append(text)
            depth = _at_directive(text, depth, outer)
        elif depth and kind == "end":
            depth = 0
        elif depth:
            depth += (text == "{") - (text == "}")
        elif text == "{" and kept and kept[-1] == ")":
            kept.append(BODY)
            depth = 1
        elif kind != "gone":
            kept.append(text)
    return kept


def _at_directive(text: str, depth: int, outer: list[int]) -> int:
    """Return the depth of braces of the line after a directive.

    :param outer: the depth at each ``#if`` that is open.
    """
    word = text.lstrip(" \t#")
    if word.startswith("if"):
        outer.append(depth)
    elif word.startswith("el") and outer:
        return outer[-1]
    elif word.startswith("endif") and outer:
        outer.pop()
    return depth


def declared(
    workspace: Workspace, source: str, names: Collection[str], changes: Sequence[Changed]
) -> dict[str, Prototype]:
    """Return the prototypes of a patched source file's functions.

    :param changes: what the patch changes; nothing, for the file as it is in the target.
    :raises Refusal: ``original-does-not-compile``, ``patch-does-not-compile``, ``disk-full``
    """
    listed = objects.beside(workspace, [source]).of(source) or objects.everything(workspace).of(
        source
    )
    if listed is None:
        return {}
    (original,) = originals(workspace, [listed])
    compilation = _with_debug_information(original.compilation)
    made = patched_objects(workspace, [Stored(compilation, original.content)], changes)
    return prototypes(made[compilation.object].content, names)


def _with_debug_information(compilation: Compilation) -> Compilation:
    """Return the compiler's step alone, with debug information."""
    words = tuple(word for word in compilation.steps[0] if word != "-g0")
    return replace(compilation, steps=((*words, *_DEBUG),))
