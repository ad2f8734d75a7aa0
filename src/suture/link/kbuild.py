# SPDX-License-Identifier: GPL-2.0-or-later
"""Link a live patch module through the target's own kbuild: modpost, ``__versions``, vermagic and all."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from suture.elf import reader, writer
from suture.elf.object import ObjectFile
from suture.errors import MODULE_LINK_FAILED, NAME_UNUSABLE, Refusal
from suture.host.files import read_bytes
from suture.host.paths import cache
from suture.workspace.kbuild import build_external
from suture.workspace.prepare import Workspace

NAME_LENGTH = 55
"""MODULE_NAME_LEN is 64 - sizeof(unsigned long) (include/linux/moduleparam.h), with the terminator."""

_NAME = re.compile(rf"[a-z0-9][a-z0-9_]{{0,{NAME_LENGTH - 1}}}", re.IGNORECASE)


def check_name(name: str) -> str:
    """:return: the name, as the kernel writes module names.

    :raises Refusal: ``name-unusable``
    """
    written = name.replace("-", "_")
    if not _NAME.fullmatch(written):
        raise Refusal(NAME_UNUSABLE, "--name", f"{name!r}")
    return written


def link(workspace: Workspace, name: str, glue: str, objects: Mapping[str, ObjectFile]) -> ObjectFile:
    """Compile the glue and link it with the output objects.

    :param glue: C source.
    :param objects: file name without extension -> object.
    :return: the module as kbuild makes it; references that only the core can resolve are still undefined.
    :raises Refusal: ``module-link-failed``
    """
    scratch = cache() / "link"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=scratch) as made:
        directory = Path(made, name)
        directory.mkdir()
        (directory / "livepatch_glue.c").write_text(glue)
        for stem, obj in objects.items():
            # kbuild takes an object it is not to compile as NAME.o_shipped (scripts/Makefile.lib).
            (directory / f"{stem}.o_shipped").write_bytes(writer.write(obj))
            # modpost looks there for the sources to make srcversion of (scripts/mod/sumversion.c); there are none.
            (directory / f".{stem}.o.cmd").write_text(f"# {stem}.o was cut out of a larger object\n")
        parts = " ".join(f"{stem}.o" for stem in ("livepatch_glue", *objects))
        (directory / "Makefile").write_text(f"obj-m := {name}.o\n{name}-y := {parts}\n")
        # modpost cannot know the symbols that the core resolves; refuse_unresolved() checks the others.
        build_external(workspace.target.release, workspace.compiler, workspace.tree, directory, unresolved=True)
        product = directory / f"{name}.ko"
        if not product.exists():
            raise Refusal(MODULE_LINK_FAILED, name, "kbuild made no module")
        return reader.read(read_bytes(product), f"{name}.ko")
