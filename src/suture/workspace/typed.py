# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects with their types, before and after a patch: compiled once more with BTF.

The compiler writes BTF itself (``-gbtf``, gcc 12 and later).  It is asked for all types that a file
sees (``-fno-eliminate-unused-debug-types``): a structure that a header defines may be used by other
files alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from suture.host.progress import step
from suture.workspace.applying import Changed
from suture.workspace.command import Compilation
from suture.workspace.compile import ObjectPair, Touched
from suture.workspace.declarations import BODY, outside_bodies
from suture.workspace.original import originals
from suture.workspace.patched import patched_objects
from suture.workspace.prepare import Workspace
from suture.workspace.store import Stored

TYPES = ("-gbtf", "-fno-eliminate-unused-debug-types")

READERS = 8
"""How many objects that may include a changed header are compiled to find one that does."""


@dataclass(frozen=True, slots=True)
class TypedPair:
    """An object with ``.BTF`` before and after the patch, both ELF relocatable files.

    :ivar source: the source file, from the top of the tree.
    """

    source: str
    before: bytes
    after: bytes


def changing_types(changes: Iterable[Changed]) -> tuple[Changed, ...]:
    """Return the files that may change types.

    Bodies and prototypes of functions define none, and what is only added changes none: neither a
    new macro, nor a new type, nor a new variable.  Example: a fix that adds a static function and a
    prototype to fs/proc/internal.h is not compiled again for its types.
    """
    return tuple(
        change
        for change in changes
        if change.old is not None and _may_change_types(change.old, change.new)
    )


def _may_change_types(old: bytes, new: bytes) -> bool:
    before, after = Counter(_declarations(old)), Counter(_declarations(new))
    added = (after - before).keys()
    return bool(before - after) or any(_CONDITION.match(text) for text in added)


_CONDITION = re.compile(r"\s*#\s*(if|el|endif|undef)")


def _declarations(source: bytes) -> Iterator[str]:
    """Yield what may define a type: preprocessor lines except ``#include``, and declarations at the
    top level without prototypes and initial values."""
    words: list[str] = []
    depth = 0
    for token in outside_bodies(source):
        if token.lstrip().startswith("#"):
            if not re.match(r"\s*#\s*include", token):
                yield token
            continue
        depth += (token == "{") - (token == "}")
        words.append(token)
        if not depth and token in (";", BODY):
            if not _is_prototype(words):
                yield " ".join(_without_value(words))
            words = []
    if words:
        yield " ".join(words)


def _is_prototype(words: Sequence[str]) -> bool:
    """Whether a declaration is of a function.

    ``int f(void);`` is, ``DEFINE_PER_CPU(int, n);`` and ``int (*pointer)(void);`` are not.
    """
    if "(" not in words or "{" in words or "=" in words or words[0] == "typedef":
        return False
    first = words.index("(")
    return first > 1 and words[first + 1] != "*"


def _without_value(words: Sequence[str]) -> Sequence[str]:
    """Return a declaration up to the initial value of a variable.

    In ``enum { PRIO_LOW = 1, PRIO_HIGH = 8 };`` each ``=`` is part of the type.
    """
    depth = 0
    for index, word in enumerate(words):
        depth += (word == "{") - (word == "}")
        if word == "=" and not depth:
            return words[:index]
    return words


def first_readers(workspace: Workspace, touched: Touched) -> Iterator[TypedPair]:
    """Yield one object for each header that may change types and has users besides the patch's own
    files, so that what it shows is known before all users are compiled.

    :raises Refusal: ``original-does-not-compile``, ``patch-does-not-compile``, ``disk-full``
    """
    headers = {one.path for one in changing_types(touched.changes) if one.path.endswith(".h")}
    if not headers or not touched.selection.users:
        return
    users = sorted(touched.selection.users, key=lambda one: _distance(one.name, headers))
    for listed in [*touched.selection.direct, *users[:READERS]]:
        (original,) = originals(workspace, [listed])
        read = headers & original.compilation.reads
        if read:
            headers -= read
            yield _typed(workspace, original.compilation, touched.changed)
        if not headers:
            return


def typed_pairs(
    workspace: Workspace, touched: Touched, pairs: Sequence[ObjectPair]
) -> Iterator[TypedPair]:
    """Yield the objects among `pairs` that read a file which may change types.

    :raises Refusal: ``patch-does-not-compile``, ``disk-full``
    """
    paths = {one.path for one in changing_types(touched.changes)}
    for pair in pairs:
        if paths & pair.compilation.reads:
            yield _typed(workspace, pair.compilation, touched.changed)


def _typed(workspace: Workspace, made: Compilation, changes: Sequence[Changed]) -> TypedPair:
    compilation = replace(made, steps=((*made.steps[0], *TYPES),))
    original = Stored(compilation, b"")

    def compiled(changes: Sequence[Changed]) -> bytes:
        """Compile one side."""
        return patched_objects(workspace, [original], changes)[compilation.object].content

    with step("Comparing types", made.source), ThreadPoolExecutor(2) as pool:
        before, after = pool.map(compiled, [(), changes])
    return TypedPair(made.source, before, after)


def _distance(name: str, headers: Iterable[str]) -> tuple[int, str]:
    """Sort objects beside a changed header first: they are the likeliest to include it."""
    directory = name.rpartition("/")[0]
    near = any(header.rpartition("/")[0] == directory for header in headers)
    return (0 if near else 1), name
