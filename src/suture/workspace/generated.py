# SPDX-License-Identifier: GPL-2.0-or-later
"""Headers that the build generates from compiled C: check that the patch leaves them the same.

``kernel/bounds.c`` and ``arch/*/kernel/asm-offsets.c`` are compiled to assembly, and its lines with
``->`` become ``include/generated/bounds.h`` and ``asm-offsets.h`` (``scripts/Makefile.lib``:
``sed-offsets``).  The patched side is compiled with the target's headers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from suture.errors import GENERATED_HEADER_CHANGED, NO_CODE_CHANGE, Refusal
from suture.host.progress import note
from suture.workspace import command
from suture.workspace.applying import Changed
from suture.workspace.patched import patched_objects
from suture.workspace.prepare import Workspace
from suture.workspace.store import Stored

_NUMBER = re.compile(rb'^\s*\.ascii\s+"->(\S+)\s(.*)"', re.MULTILINE)


def check_generated(workspace: Workspace, changes: Sequence[Changed]) -> None:
    """Compile the sources of generated headers that read a changed file, and compare the numbers.

    :raises Refusal: ``generated-header-changed``, ``patch-does-not-compile``
    """
    paths = {change.path for change in changes}
    before = [one for one in _generators(workspace) if paths & one.compilation.reads]
    after = patched_objects(workspace, before, changes)
    for original in before:
        compilation = original.compilation
        old, new = _numbers(original.content), _numbers(after[compilation.object].content)
        differing = sorted(
            name for name in old.keys() | new.keys() if old.get(name) != new.get(name)
        )
        if differing:
            raise Refusal(
                GENERATED_HEADER_CHANGED,
                compilation.source,
                f"{', '.join(differing[:5])} would change",
            )


def without_generators(workspace: Workspace, changes: Sequence[Changed]) -> tuple[Changed, ...]:
    """Leave out the sources of generated headers, which are part of no object.

    :raises Refusal: ``generated-header-changed``, ``patch-does-not-compile``; ``no-code-change``
        where nothing else changes
    """
    read = frozenset[str]().union(*(one.compilation.reads for one in _generators(workspace)))
    left_out = [one.path for one in changes if one.path in read and one.path.endswith(".c")]
    if not left_out:
        return tuple(changes)
    check_generated(workspace, changes)
    if len(left_out) == len(changes):
        found = "the header that the build makes from it stays as it is"
        raise Refusal(NO_CODE_CHANGE, ", ".join(left_out), found)
    note(f"{', '.join(left_out)} left out: the header that the build makes from it stays")
    return tuple(one for one in changes if one.path not in left_out)


def _generators(workspace: Workspace) -> list[Stored]:
    architecture = workspace.environment["SRCARCH"]
    directories = [workspace.tree / "kernel", workspace.tree / "arch" / architecture / "kernel"]
    assembly = [path for directory in directories for path in sorted(directory.glob("*.s"))]
    names = [path.relative_to(workspace.tree).as_posix() for path in assembly]
    found = []
    for name in names:
        saved = command.saved_in(workspace.tree, name)
        if saved.exists():
            compilation = command.parse(name, saved.read_text(errors="surrogateescape"))
            found.append(Stored(compilation, (workspace.tree / name).read_bytes()))
    return found


def _numbers(assembly: bytes) -> dict[str, bytes]:
    return {name.decode(errors="replace"): value for name, value in _NUMBER.findall(assembly)}
