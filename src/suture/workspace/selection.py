# SPDX-License-Identifier: GPL-2.0-or-later
"""From the files that a patch changes to the objects to compile.

1. `sort` separates code from files that cannot change the code, and refuses files that take effect
   through the build as a whole.
2. `select` names the objects: those of the changed C files, and all that may include a changed
   header.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from suture.errors import (
    BUILD_SYSTEM_CHANGED,
    FILE_NOT_BUILT,
    NO_CODE_CHANGE,
    Refusal,
)
from suture.host.progress import note, step
from suture.workspace import includes, objects, store
from suture.workspace.applying import Changed
from suture.workspace.code_files import LeftOutFile, leave_out
from suture.workspace.kbuild import ListedObject
from suture.workspace.lookups import word_index
from suture.workspace.made import refuse_made, source_elsewhere
from suture.workspace.mentions import files_mentioning, header_changes
from suture.workspace.objects import Objects
from suture.workspace.prepare import Workspace
from suture.workspace.programs import program, programs, refuse_separate

WORTH_SEARCHING = 16
"""So many objects take longer to preprocess than their words take to look up."""

HOST_TOOLS = ("tools/", "scripts/")
"""Programs of the build host; a few of their sources are included by the kernel's
(``lib/fdt.c``)."""

PLUGINS = "scripts/gcc-plugins/"
"""What the compiler is given at every object."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The objects to compile.

    :ivar direct: the objects of the changed C files.
    :ivar users: objects that may include a changed file.
    :ivar users_of_added: the names of users that may include a file which the patch adds; the
        compiler's list of the files that the original read cannot show that.
    :ivar left_out: the changed files that nothing of the target is made from.
    """

    direct: tuple[ListedObject, ...]
    users: tuple[ListedObject, ...]
    users_of_added: frozenset[str]
    left_out: tuple[LeftOutFile, ...] = ()


def select(workspace: Workspace, code: Sequence[Changed]) -> Selection:
    """Return the objects to compile for changed `code`.

    :raises Refusal: ``file-not-built``, ``separate-program``, ``build-system-changed``,
        ``no-code-change``, ``workspace-failed``
    """
    sources = [change.path for change in code if change.path.endswith(".c")]
    direct = _own_objects(objects.beside(workspace, sources), sources)
    tools: tuple[LeftOutFile, ...] = ()
    if len(direct) < len(code):
        tools = _host_tools(workspace, code, direct)
        code = [change for change in code if change.path not in {one.path for one in tools}]
        sources = [change.path for change in code if change.path.endswith(".c")]
        others = [change.path for change in code if change.path not in direct]
        refuse_made(workspace.tree, others, _include_lines(workspace, code))
    of_c_files = workspace.include_lines(of_c_files=True)
    included = {path for path in sources if includes.users(workspace.tree, of_c_files, [path])}
    if not included and len(direct) == len(code):
        return Selection(tuple(direct.values()), (), frozenset(), tools)
    found = _with_users(workspace, code, sources, included)
    return replace(found, left_out=tools + found.left_out)


def _with_users(
    workspace: Workspace, code: Sequence[Changed], sources: Sequence[str], included: set[str]
) -> Selection:
    """Return the objects of changed C files, and those that may include a changed file.

    :param sources: the changed C files.
    :param included: those of them that other files include.
    :raises Refusal: ``file-not-built``, ``build-system-changed``, ``no-code-change``
    """
    every = objects.everything(workspace)
    direct = _own_objects(every, sources)
    read_by_others = included | {change.path for change in code if change.path not in direct}
    lines = _include_lines(workspace, code)
    files_of = {path: _including(workspace, lines, code, path) for path in read_by_others}
    users_of = {path: _objects(workspace, every, files) for path, files in files_of.items()}
    unread = sorted(path for path in read_by_others if path not in direct and not users_of[path])
    left_out = _left_out(workspace, unread, len(code))
    _note_separate(file for path in read_by_others - set(unread) for file in files_of[path])
    generated = (
        _of_generated_sources(workspace, every, lines)
        if read_by_others - set(unread)
        else frozenset()
    )
    users = generated.union(*users_of.values())
    if len(users - set(direct.values())) > WORTH_SEARCHING:
        read = [change for change in code if change.path in users_of]
        users = _that_mention(workspace, every, read, lines, users_of, generated)
    users -= set(direct.values())
    added = [change.path for change in code if change.old is None and change.path in users_of]
    users_of_added = frozenset(one.name for path in added for one in users_of[path])
    of_users = tuple(sorted(users, key=lambda one: one.name))
    return Selection(tuple(direct.values()), of_users, users_of_added, left_out)


def _that_mention(
    workspace: Workspace,
    every: Objects,
    read: Sequence[Changed],
    lines: str,
    users_of: Mapping[str, frozenset[ListedObject]],
    generated: frozenset[ListedObject],
) -> frozenset[ListedObject]:
    """Those of the users of changed files that mention what changes in them.

    :param read: the changed files that others include.
    :param lines: include lines.
    :param users_of: from their paths.
    :param generated: objects whose source the build makes.
    """
    words = word_index(workspace)
    total = len(generated.union(*users_of.values()))
    with step("Searching for what changes", f"{total} objects may include it"):
        found: frozenset[ListedObject] = frozenset()
        files: frozenset[str] = frozenset()
        searched = generated
        changes = header_changes(read)
        for path in changes:
            mentioning = files_mentioning(words, path, changes)
            if mentioning is None:
                found |= users_of[path] | generated
            else:
                files |= mentioning
                searched |= users_of[path]
        return found | (searched & _reached(workspace, every, files, lines, generated))


def _reached(
    workspace: Workspace,
    every: Objects,
    files: frozenset[str],
    lines: str,
    generated: frozenset[ListedObject],
) -> frozenset[ListedObject]:
    """Return the objects of C files, and those that may include one of some headers.

    :param lines: include lines.
    :param generated: objects whose source the build makes.
    """
    tree = workspace.tree
    sources = {one: _source_of_generated(tree, one) for one in generated}
    made = {path for path in sources.values() if (tree / path).is_file()}
    of_c_files = workspace.include_lines(of_c_files=True)
    if any(not path.endswith(".c") for path in files) or includes.users(tree, of_c_files, files):
        lines += "".join(includes.of_text(path, (tree / path).read_bytes()) for path in made)
        files |= includes.users(tree, lines, files)
    of_made = {one for one, path in sources.items() if path in files or path not in made}
    return _objects(workspace, every, files) | of_made


def _source_of_generated(tree: Path, one: ListedObject) -> str:
    """Return the file from which an object is made that is not in the source as delivered."""
    path = os.path.normpath(one.name)
    beside = [os.path.splitext(path)[0] + suffix for suffix in (".c", ".S")]
    if elsewhere := source_elsewhere(tree, path):
        return elsewhere
    return next((source for source in beside if (tree / source).is_file()), beside[0])


def _including(
    workspace: Workspace, lines: str, code: Iterable[Changed], path: str
) -> frozenset[str]:
    """Return the files that may include a changed one.

    Following the include lines of a whole tree takes seconds.  What they say of a file is kept;
    it is asked again where the patch adds an include line.
    """
    directory = workspace.directory / "graph"
    key = store.key([f"including {includes.RECIPE}", workspace.name, path])
    if any(_adds_include(change) for change in code):
        return includes.users(workspace.tree, lines, [path])
    if (kept := store.load_bytes(directory, key)) is not None:
        return frozenset(json.loads(kept))
    found = includes.users(workspace.tree, lines, [path])
    store.save_bytes(directory, key, json.dumps(sorted(found)).encode())
    return found


def _adds_include(change: Changed) -> bool:
    old = includes.of_text(change.path, change.old or b"").splitlines()
    new = includes.of_text(change.path, change.new).splitlines()
    return not set(new) <= set(old)


def _is_host_tool(path: str) -> bool:
    return path.startswith(HOST_TOOLS) and not path.startswith(PLUGINS)


def _include_lines(workspace: Workspace, code: Iterable[Changed]) -> str:
    """The include lines of the tree and of the patch."""
    new = (includes.of_text(change.path, change.new) for change in code)
    return workspace.include_lines() + "".join(new)


def _host_tools(
    workspace: Workspace, code: Sequence[Changed], direct: Collection[str]
) -> tuple[LeftOutFile, ...]:
    """Leave out the programs of the build host that no file of the kernel includes.

    :param direct: the sources of objects, which stay.
    :raises Refusal: ``no-code-change``
    """
    tools = [
        change.path for change in code if change.path not in direct and _is_host_tool(change.path)
    ]
    lines = _include_lines(workspace, code) if tools else ""
    left_out = [
        path
        for path in tools
        if all(_is_host_tool(user) for user in includes.users(workspace.tree, lines, [path]))
    ]
    return _left_out(workspace, left_out, len(code))


def _note_separate(users: Iterable[str]) -> None:
    """Note the separate programs that may include a changed file too."""
    found = {program(path) for path in users}
    keep = [one.name for one in programs() if one in found]
    if keep:
        note(f"{' and '.join(keep)} may include the changed files too, but cannot be patched")


def _own_objects(built: Objects, sources: Sequence[str]) -> dict[str, ListedObject]:
    return {path: listed for path in sources if (listed := built.of(path))}


def _of_generated_sources(
    workspace: Workspace, every: Objects, lines: str
) -> frozenset[ListedObject]:
    """Return the objects whose source the build makes first: its include lines are not scanned, so
    it may include anything."""
    read = {os.path.splitext(line.partition(":")[0])[0] for line in lines.splitlines()}
    # *.stub.o: copies of the EFI boot stub's objects (drivers/firmware/efi/libstub/Makefile), no
    # part of vmlinux.
    unread = [
        path
        for path in every.listed
        if path.removesuffix(".o") not in read and ".stub." not in path
    ]
    return frozenset(every.listed[path] for path in unread if not _was_delivered(workspace, path))


def _was_delivered(workspace: Workspace, path: str) -> bool:
    """Tell whether the object's source was in the tree before kbuild compiled anything there."""
    source = (workspace.tree / path).with_suffix(".c")
    prepared = (workspace.tree.parent / "environment").stat().st_mtime_ns
    return source.exists() and source.stat().st_mtime_ns <= prepared


def _objects(
    workspace: Workspace, every: Objects, users: Collection[str]
) -> frozenset[ListedObject]:
    """Return the objects of files that may include a changed one."""
    if includes.forced(workspace.environment) & set(users):
        return frozenset(every.listed.values())
    below = tuple(f"{os.path.dirname(user)}/" for user in users if includes.is_makefile(user))
    named = {listed for user in users if (listed := every.of(user))}
    by_option = (
        {listed for path, listed in every.listed.items() if path.startswith(below)}
        if below
        else set()
    )
    return frozenset(named | by_option)


def _left_out(workspace: Workspace, paths: Sequence[str], all_code: int) -> tuple[LeftOutFile, ...]:
    """Leave out files from which nothing is compiled.

    A series often mends several drivers of one kind, and a cloud kernel has few of them.

    :param all_code: the number of files of the patch; refused where these are all of them.
    :raises Refusal: ``file-not-built``, ``separate-program``, ``build-system-changed``,
        ``no-code-change``
    """
    release = workspace.target.release
    found = [LeftOutFile(path, _without_object(path, release)) for path in paths]
    if found and len(found) == all_code:
        c_files = [path for path in paths if path.endswith(".c") and not _is_host_tool(path)]
        if c_files:
            raise Refusal(FILE_NOT_BUILT, ", ".join(c_files), f"{release} is built without it")
        for one in found:
            note(str(one))
        raise Refusal(NO_CODE_CHANGE, ", ".join(paths), f"{release} is not built from it")
    return tuple(leave_out(one.path, one.why) for one in found)


def _without_object(path: str, release: str) -> str:
    """Return why a file has no object.

    :raises Refusal: ``separate-program``, ``build-system-changed``
    """
    if _is_host_tool(path):
        return "it is a program of the build host"
    refuse_separate(path)
    if path.endswith(".c"):
        return f"{release} is built without it"
    if path.endswith(".h"):
        return f"nothing in {release} includes it"
    raise Refusal(BUILD_SYSTEM_CHANGED, path, "is not C, and no C file includes it")
