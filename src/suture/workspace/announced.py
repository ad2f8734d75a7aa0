# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands by which kbuild would compile objects, without compiling them."""

from __future__ import annotations

from collections.abc import Sequence

from suture.host.files import locked, temporary_directory
from suture.workspace import command, kbuild
from suture.workspace.command import Compilation
from suture.workspace.kbuild import Listed
from suture.workspace.original import run_kbuild
from suture.workspace.prepare import Workspace


def announced(workspace: Workspace, objects: Sequence[Listed]) -> dict[Listed, Compilation]:
    """How kbuild compiles `objects`, each with its source as its only known dependency.

    Generated headers and sources that they need are made.  What kbuild makes in another way than by the compiler, or
    cannot make here (``certs/``: needs the key that signs modules), is missing in the answer.
    """
    with temporary_directory() as answers, locked(workspace.directory / "kbuild.lock"):
        added = {"SUTURE_COMMANDS": str(answers)}
        run_kbuild(workspace, objects, "--keep-going", overrides=[kbuild.ANNOUNCE], environment=added)
        found = {}
        for one in objects:
            answer = answers / one.name.replace("/", "!")
            if answer.exists():
                found[one] = command.announced(one.name, answer.read_text(errors="surrogateescape"))
        return found
