# SPDX-License-Identifier: GPL-2.0-or-later
"""The objects that a patch touches, compiled before and after it.

1. The patch is applied to copies; what it changes is sorted into code, headers, and what has no say in the code.
2. kbuild is asked which objects the target builds from the changed files.
3. The originals come from kbuild, in the pristine tree, together with the exact command of each.
4. The patched ones come from the same commands, run in a shadow of the tree that holds the patched files.

Every object is kept by what it was made from; a second build of the same patch compiles nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from suture.errors import FILE_NOT_BUILT, NO_CODE_CHANGE, Refusal
from suture.formats.diff import PatchSource
from suture.model import VMLINUX
from suture.workspace import kbuild, objects, overlay
from suture.workspace.original import originals
from suture.workspace.overlay import Changed
from suture.workspace.patched import patched_objects
from suture.workspace.prepare import Workspace
from suture.workspace.store import Stored


@dataclass(frozen=True, slots=True)
class ObjectPair:
    """One source file's object before and after the patch, both ELF relocatable files.

    :ivar source: the source file, from the top of the tree.
    :ivar objname: what the object is linked into: `VMLINUX` or a module's name as the kernel spells it (``_``).
    :ivar original_command: the commands that made the original, as a shell takes them.
    """

    source: str
    objname: str
    original: bytes
    patched: bytes
    original_command: str


def object_pairs(workspace: Workspace, patch: PatchSource) -> tuple[ObjectPair, ...]:
    """Compile what `patch` touches, sorted by source.

    :raises Refusal: ``patch-does-not-apply``, ``patch-already-applied``, ``patch-path-escapes``, ``source-removed``,
        ``source-renamed``, ``assembly-file``, ``build-system-changed``, ``no-code-change``, ``file-not-built``,
        ``shared-object``, ``original-does-not-compile``, ``patch-does-not-compile``, ``disk-full``
    """
    changed = _code(overlay.apply(workspace.tree, patch))
    built = objects.beside(workspace, [change.path for change in changed])
    names = {}
    for change in changed:
        name = built.of(change.path)
        if name is None:
            raise Refusal(FILE_NOT_BUILT, change.path, f"{workspace.target.release} is built without it")
        names[name] = change
    before = originals(workspace, list(names))
    after = patched_objects(workspace, before, changed)
    return tuple(_pair(first, after[first.compilation.object]) for first in before)


def build_module(workspace: Workspace, directory: Path, *, unresolved: bool = False) -> str:
    """Build the external module in `directory` (which has its ``Kbuild``) against the target; returns make's output.

    :param unresolved: let modpost pass undefined symbols with a warning (``KBUILD_MODPOST_WARN``).
    :raises Refusal: ``module-link-failed``, ``disk-full``
    """
    finished = kbuild.build_external(
        workspace.target.release, workspace.compiler, workspace.tree, directory, unresolved=unresolved
    )
    return finished.stdout + finished.stderr


def _code(changes: Sequence[Changed]) -> tuple[Changed, ...]:
    """What of the patch is C; the rest is refused or left out with a note."""
    wanted = tuple(change for change in changes if change.path.endswith(".c"))
    if not wanted:
        raise Refusal(NO_CODE_CHANGE, "the patch", "changes no C file")
    return wanted


def _pair(before: Stored, after: Stored) -> ObjectPair:
    compilation = before.compilation
    objname = VMLINUX if compilation.modname is None else compilation.modname
    return ObjectPair(compilation.source, objname, before.content, after.content, compilation.text)
