# SPDX-License-Identifier: GPL-2.0-or-later
"""From the files that a patch changes to the objects that have to be compiled.

1. `sort` tells code from what has no say in it, and refuses what takes effect through the build as a whole.
2. `select` names the objects: those of the changed C files, and all that may include a changed header.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from suture.errors import ASSEMBLY_FILE, BUILD_SYSTEM_CHANGED, FILE_NOT_BUILT, NO_CODE_CHANGE, Refusal
from suture.host.progress import note
from suture.workspace import includes, objects
from suture.workspace.objects import Objects
from suture.workspace.overlay import Changed
from suture.workspace.prepare import Workspace

NO_CODE = frozenset({"Documentation", "LICENSES", "samples", "COPYING", "CREDITS", "MAINTAINERS", "README"})
"""At the top of the tree: what no kernel is made of."""

NO_CODE_SUFFIXES = (".rst", ".txt", ".md", ".gitignore", ".mailmap", ".clang-format", ".gitattributes", ".cocciconfig")
HOST_TOOLS = frozenset({"tools", "scripts"})
"""Programs of the build host; a few of their sources are included by the kernel's (``lib/fdt.c``)."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is to be compiled, by the names that the makefiles use.

    :ivar direct: the objects of the changed C files.
    :ivar users: objects that may include a changed file.
    :ivar users_of_added: those of them that may include a file which the pristine tree does not have, so that the
        compiler's list of what the original read cannot tell.
    """

    direct: tuple[str, ...]
    users: tuple[str, ...]
    users_of_added: frozenset[str]


def sort(changes: Sequence[Changed], architecture: str) -> tuple[Changed, ...]:
    """The changes that can have a say in the code.

    :raises Refusal: ``assembly-file``, ``build-system-changed``, ``no-code-change``
    """
    code = []
    for change in changes:
        reason = _without_code(change.path, architecture)
        if reason:
            note(f"{change.path} is left out: {reason}")
            continue
        _refuse_build_system(change.path)
        code.append(change)
    if not code:
        found = ", ".join(change.path for change in changes) or "the files end up as they were"
        raise Refusal(NO_CODE_CHANGE, "the patch", found)
    return tuple(code)


def _without_code(path: str, architecture: str) -> str:
    parts = path.split("/")
    if parts[0] in NO_CODE or path.endswith(NO_CODE_SUFFIXES):
        return "it is no code of the kernel"
    if parts[0] == "arch" and len(parts) > 2 and parts[1] != architecture:
        return f"it is for {parts[1]}, the target is {architecture}"
    return ""


def _refuse_build_system(path: str) -> None:
    base = os.path.basename(path)
    if path.split("/")[0] == "tools":
        return
    if base.startswith(("Makefile", "Kbuild", "Kconfig")) or base.endswith((".lds", ".lds.S", ".dts", ".dtsi", ".tbl")):
        raise Refusal(BUILD_SYSTEM_CHANGED, path, "is part of how the kernel is built")
    if base.endswith(".S"):
        raise Refusal(ASSEMBLY_FILE, path, "is written in assembly")


def select(workspace: Workspace, code: Sequence[Changed]) -> Selection:
    """The objects to compile for changed `code`.

    :raises Refusal: ``file-not-built``, ``build-system-changed``, ``no-code-change``, ``workspace-failed``
    """
    sources = [change.path for change in code if change.path.endswith(".c")]
    built = objects.beside(workspace, sources)
    direct = {path: name for path in sources if (name := built.of(path))}
    of_c_files = workspace.include_lines(of_c_files=True)
    included = [path for path in direct if includes.users(workspace.tree, of_c_files, [path])]
    others = [change.path for change in code if change.path not in direct]
    if not others and not included:
        return Selection(tuple(direct.values()), (), frozenset())
    all_objects = objects.everything(workspace)
    direct |= {path: name for path in others if path.endswith(".c") and (name := all_objects.of(path))}
    lines = workspace.include_lines() + "".join(includes.of_text(change.path, change.new) for change in code)
    generated = _of_generated_sources(all_objects, lines)
    users_of = {
        path: _objects(workspace, all_objects, includes.users(workspace.tree, lines, [path]))
        for path in {*others, *included}
    }
    code_of_nothing = [path for path in others if path not in direct and not users_of[path]]
    _refuse_or_leave_out(workspace, code_of_nothing, {change.path for change in code})
    users = {name for path in users_of for name in users_of[path]}.union(generated if others else ())
    users -= set(direct.values())
    added = {change.path for change in code if change.old is None}
    users_of_added = frozenset(name for path in added & users_of.keys() for name in users_of[path])
    return Selection(tuple(direct.values()), tuple(sorted(users)), users_of_added)


def _of_generated_sources(every: Objects, lines: str) -> frozenset[str]:
    """Objects whose source the build makes first: nobody has read its include lines, so it may include anything."""
    read = {os.path.splitext(line.partition(":")[0])[0] for line in lines.splitlines()}
    # *.stub.o: copies of the EFI boot stub's objects (drivers/firmware/efi/libstub/Makefile), no part of vmlinux.
    return frozenset(
        name for path, name in every.names.items() if path.removesuffix(".o") not in read and ".stub." not in path
    )


def _objects(workspace: Workspace, every: Objects, users: Collection[str]) -> frozenset[str]:
    """The objects of files that may include a changed one."""
    if includes.forced(workspace.environment) & set(users):
        return frozenset(every.names.values())
    below = tuple(f"{os.path.dirname(user)}/" for user in users if includes.is_makefile(user))
    named = {name for user in users if (name := every.of(user))}
    by_option = {name for path, name in every.names.items() if path.startswith(below)} if below else set()
    return frozenset(named | by_option)


def _refuse_or_leave_out(workspace: Workspace, paths: Sequence[str], all_code: Collection[str]) -> None:
    """Files from which nothing is compiled: an error for C and unknown files, a note for headers and host tools."""
    release = workspace.target.release
    for path in paths:
        if path.split("/")[0] in HOST_TOOLS and not path.startswith("scripts/gcc-plugins/"):
            note(f"{path} is left out: it is a program of the build host")
        elif path.endswith(".c"):
            raise Refusal(FILE_NOT_BUILT, path, f"{release} is built without it")
        elif path.endswith(".h"):
            note(f"{path} is left out: nothing in {release} includes it")
        else:
            raise Refusal(BUILD_SYSTEM_CHANGED, path, "is neither C nor included by any")
    if len(paths) == len(all_code):
        raise Refusal(NO_CODE_CHANGE, "the patch", f"nothing that {release} is built from")
