# SPDX-License-Identifier: GPL-2.0-or-later
"""Prototypes before and after a patch, from objects with debug information.

Most fixes change only the bodies of functions.  A comparison of the text outside the bodies shows
that in milliseconds; the compiler needs seconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from suture.elf.prototypes import Prototype, prototypes
from suture.workspace import objects, store
from suture.workspace.applying import Changed
from suture.workspace.command import Compilation
from suture.workspace.original import originals
from suture.workspace.patched import patched_objects
from suture.workspace.prepare import Workspace
from suture.workspace.store import Stored

_DEBUG = ("-g", "-fno-var-tracking", "-gno-variable-location-views")
"""Debug information without the places of local variables, which take the compiler a third of its
time."""

RECIPE = "prototypes 1"
"""Raised whenever prototypes are read in another way."""

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


def compile_ahead(workspace: Workspace, sources: Sequence[str], changes: Sequence[Changed]) -> None:
    """Compile source files on both sides for `declared`, which takes them one by one.

    :raises Refusal: as `declared`
    """
    made = _compilable(workspace, sources)
    for side in ((), changes):
        patched_objects(workspace, made, side)


def declared(
    workspace: Workspace, source: str, names: Collection[str], changes: Sequence[Changed]
) -> dict[str, Prototype]:
    """Return the prototypes of a patched source file's functions.

    :param changes: what the patch changes; nothing, for the file as it is in the target.
    :raises Refusal: ``original-does-not-compile``, ``patch-does-not-compile``, ``disk-full``
    """
    for one in _compilable(workspace, [source]):
        made = patched_objects(workspace, [one], changes)
        return _prototypes(workspace, made[one.compilation.object].content, names)
    return {}


def _compilable(workspace: Workspace, sources: Sequence[str]) -> list[Stored]:
    """Return the original objects of source files, with commands that give debug information."""
    beside = objects.beside(workspace, sources)
    listed = [beside.of(source) or objects.everything(workspace).of(source) for source in sources]
    return [
        Stored(_with_debug_information(one.compilation), one.content)
        for one in originals(workspace, [one for one in listed if one is not None])
    ]


def _prototypes(
    workspace: Workspace, content: bytes, names: Collection[str]
) -> dict[str, Prototype]:
    """Return the prototypes in an object; reading its debug information takes longer than
    compiling it, so what was read is kept."""
    directory = workspace.directory / "objects"
    key = store.key([RECIPE, content, *sorted(names)])
    if (kept := store.load_bytes(directory, key)) is not None:
        return {
            name: Prototype(result, tuple(parameters), variadic)
            for name, (result, parameters, variadic) in json.loads(kept).items()
        }
    found = prototypes(content, names)
    plain = {name: (one.result, one.parameters, one.variadic) for name, one in found.items()}
    store.save_bytes(directory, key, json.dumps(plain).encode())
    return found


def _with_debug_information(compilation: Compilation) -> Compilation:
    """Return the compiler's step alone, with debug information."""
    words = tuple(word for word in compilation.steps[0] if word != "-g0")
    return replace(compilation, steps=((*words, *_DEBUG),))
