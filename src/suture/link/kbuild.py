# SPDX-License-Identifier: GPL-2.0-or-later
"""Link a live patch module through the target's own kbuild: modpost, ``__versions``, vermagic and
all."""

from __future__ import annotations

import re
from collections.abc import Mapping

from suture.elf import reader, writer
from suture.elf.object import ObjectFile
from suture.errors import MODULE_LINK_FAILED, NAME_UNUSABLE, Refusal
from suture.host.files import read_bytes, scratch_directory
from suture.host.paths import cache
from suture.link import objtool
from suture.workspace import store
from suture.workspace.kbuild import build_external
from suture.workspace.prepare import Workspace

NAME_LENGTH = 55
"""MODULE_NAME_LEN is 64 - sizeof(unsigned long) (include/linux/moduleparam.h), with the
terminator."""

_NAME = re.compile(rf"[a-z0-9][a-z0-9_]{{0,{NAME_LENGTH - 1}}}", re.IGNORECASE)


def check_name(name: str, option: str = "--name") -> str:
    """:param option: where it was given.
    :return: the name, as the kernel writes module names.

    :raises Refusal: ``name-unusable``
    """
    written = name.replace("-", "_")
    if not _NAME.fullmatch(written):
        raise Refusal(NAME_UNUSABLE, option, f"{name!r}")
    return written


def link(
    workspace: Workspace, name: str, glue: str, objects: Mapping[str, ObjectFile]
) -> ObjectFile:
    """Compile the glue and link it with the output objects, or take what came of the same parts
    before.

    :param glue: C source.
    :param objects: file name without extension -> object.
    :return: the module as kbuild makes it; references that only the core can resolve are still
        undefined.
    :raises Refusal: ``module-link-failed``, ``unwind-data-doubtful``
    """
    named, back = objtool.plain(objects, objtool.known_names(workspace.tree))
    files = _files(name, glue, named)
    kept = workspace.directory / "objects"
    key = store.key(
        [
            "module without doubts",
            workspace.name,
            *(part for item in files.items() for part in item),
        ]
    )
    module = store.load_bytes(kept, key)
    if module is None:
        module = _make(workspace, name, files)
        store.save_bytes(kept, key, module)
    return objtool.pending(reader.read(module, f"{name}.ko"), back)


def _files(name: str, glue: str, objects: Mapping[str, ObjectFile]) -> dict[str, bytes]:
    """What kbuild is given to make the module from, by file name."""
    parts = " ".join(f"{stem}.o" for stem in ("livepatch_glue", *objects))
    files = {
        "livepatch_glue.c": glue.encode(),
        "Makefile": f"obj-m := {name}.o\n{name}-y := {parts}\n".encode(),
    }
    for stem, obj in objects.items():
        # kbuild takes an object it is not to compile as NAME.o_shipped (scripts/Makefile.lib).
        files[f"{stem}.o_shipped"] = writer.write(obj)
        # modpost looks there for the sources to make srcversion of (scripts/mod/sumversion.c);
        # there are none.
        files[f".{stem}.o.cmd"] = f"# {stem}.o was cut out of a larger object\n".encode()
    return files


def _make(workspace: Workspace, name: str, files: Mapping[str, bytes]) -> bytes:
    with scratch_directory(cache() / "link", f"{name}-") as scratch:
        directory = scratch / name
        directory.mkdir()
        for file, content in files.items():
            (directory / file).write_bytes(content)
        # modpost cannot know the symbols that the core resolves; refuse_unresolved() checks the
        # others.
        finished = build_external(
            workspace.target.release, workspace.compiler, workspace.tree, directory, unresolved=True
        )
        objtool.refuse_doubts(name, finished.stdout + finished.stderr)
        product = directory / f"{name}.ko"
        if not product.exists():
            raise Refusal(MODULE_LINK_FAILED, name, "kbuild made no module")
        return read_bytes(product)
