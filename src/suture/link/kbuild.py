# SPDX-License-Identifier: GPL-2.0-or-later
"""Link a live patch module as the target's own kbuild does, with modpost, ``__versions`` and
vermagic.

`direct` runs kbuild's commands without kbuild where that is known to make the same module.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from suture.elf import reader, writer
from suture.elf.object import ObjectFile
from suture.errors import MODULE_LINK_FAILED, NAME_UNUSABLE, Refusal
from suture.host.files import read_bytes, scratch_directory
from suture.host.paths import cache
from suture.link import direct, objtool
from suture.link.probe import recording
from suture.link.recorded import GLUE
from suture.workspace import store
from suture.workspace.kbuild import build_external, prepared_objects
from suture.workspace.prepare import Workspace

NAME_LENGTH = 55
"""MODULE_NAME_LEN is 64 - sizeof(unsigned long) (include/linux/moduleparam.h), with the
terminator."""

_NAME = re.compile(rf"[a-z0-9][a-z0-9_]{{0,{NAME_LENGTH - 1}}}", re.IGNORECASE)


def usable_name(name: str, where: str = "--name", remedy: str | None = None) -> str:
    """Return a name in the kernel's spelling of module names: ``my-fix`` becomes ``my_fix``.

    :param where: the option or file that gave it, for the message.
    :param remedy: where the user cannot choose another name with ``--name``.
    :raises Refusal: ``name-unusable``
    """
    written = name.replace("-", "_")
    if not _NAME.fullmatch(written):
        raise Refusal(NAME_UNUSABLE, where, f"{name!r}", remedy=remedy)
    return written


def link(
    workspace: Workspace, name: str, glue: str, objects: Mapping[str, ObjectFile]
) -> ObjectFile:
    """Compile the glue and link it with the output objects, or return the kept result of the same
    parts.

    :param glue: C source.
    :param objects: file name without extension -> object.
    :return: the module as kbuild makes it, with pending symbols still undefined.
    :raises Refusal: ``module-link-failed``, ``unwind-data-doubtful``
    """
    named, back = objtool.with_plain_names(objects, objtool.known_names(workspace.tree))
    parts = {stem: writer.write(obj) for stem, obj in named.items()}
    kept = workspace.directory / "objects"
    texts = [part for item in parts.items() for part in item]
    key = store.key(["module of parts", workspace.name, name, glue, *texts])
    module = store.load_bytes(kept, key)
    if module is None:
        module = _make(workspace, name, glue, named, parts)
        store.save_bytes(kept, key, module)
    return objtool.with_pending_names(reader.read(module, f"{name}.ko"), back)


def linker_script(tree: Path) -> str:
    """Return the script with which kbuild links modules; "" for kernels before 5.10 without one."""
    script = tree / "scripts/module.lds"
    return script.read_text() if script.exists() else ""


def _make(
    workspace: Workspace,
    name: str,
    glue: str,
    objects: Mapping[str, ObjectFile],
    parts: Mapping[str, bytes],
) -> bytes:
    with scratch_directory(cache() / "link", f"{name}-") as scratch:
        directory = (scratch / name).resolve()
        directory.mkdir()
        how = None
        if direct.applies_to(workspace.tree, directory, name, glue, objects):
            how = recording(workspace)
        if how is not None:
            output = direct.make(how, workspace.tree, directory, name, glue, parts)
        else:
            output = make_by_kbuild(workspace, directory, name, glue, parts)
        objtool.refuse_doubts(name, output, workspace.target.arch.build)
        return read_bytes(directory / f"{name}.ko")


def make_by_kbuild(
    workspace: Workspace, directory: Path, name: str, glue: str, parts: Mapping[str, bytes]
) -> str:
    """Make ``NAME.ko`` in `directory` with kbuild, as a module outside the tree.

    :param parts: file name without extension -> object file.
    :return: kbuild's output.
    :raises Refusal: ``module-link-failed``
    """
    listed = " ".join(f"{stem}.o" for stem in (GLUE, *parts))
    (directory / f"{GLUE}.c").write_text(glue)
    makefile = f"obj-m := {name}.o\n{name}-y := {listed}\n{prepared_objects(parts)}"
    (directory / "Makefile").write_text(makefile)
    for stem, content in parts.items():
        (directory / f"{stem}.o_shipped").write_bytes(content)
        # modpost reads the sources for srcversion from this file (scripts/mod/sumversion.c); here
        # there are none.
        about = f"# {stem}.o was cut out of a larger object\n"
        (directory / f".{stem}.o.cmd").write_text(about)
    # modpost does not know the symbols that the core resolves; refuse_unresolved() checks the rest.
    finished = build_external(
        workspace.target.release, workspace.compiler, workspace.tree, directory, unresolved=True
    )
    if not (directory / f"{name}.ko").exists():
        raise Refusal(MODULE_LINK_FAILED, name, "kbuild made no module")
    return finished.stdout + finished.stderr
