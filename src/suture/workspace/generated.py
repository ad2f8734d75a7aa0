# SPDX-License-Identifier: GPL-2.0-or-later
"""Headers that the build generates from compiled C: check that the patch leaves them the same.

``kernel/bounds.c`` and ``arch/*/kernel/asm-offsets.c`` are compiled to assembly, and its lines with
``->`` become ``include/generated/bounds.h`` and ``asm-offsets.h`` (``scripts/Makefile.lib``:
``sed-offsets``).  The patched side is compiled with the target's headers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from suture.errors import GENERATED_HEADER_CHANGED, Refusal
from suture.workspace import command
from suture.workspace.overlay import Changed
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
