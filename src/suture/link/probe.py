# SPDX-License-Identifier: GPL-2.0-or-later
"""Recording kbuild while it makes a small live patch module, once for each workspace.

1. kbuild makes the probe: a module of the glue of a live patch and one more object.
2. `suture.link.recorded` reads the commands that kbuild saved.
3. `suture.link.precompiled` compiles the headers of the two files that each module has anew.
4. `suture.link.direct` makes the probe with these commands.  If it is the same to the byte, the
   recording is kept; if not, kbuild links all modules of this workspace.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from suture.errors import MODULE_LINK_FAILED, Refusal
from suture.host.files import (
    locked,
    new_directory,
    read_bytes,
    remove_unfinished,
    scratch_directory,
    write_atomic,
)
from suture.host.paths import cache
from suture.host.progress import step
from suture.link import direct, glue, precompiled, recorded
from suture.link.direct import GENERATED_HEADERS, GLUE_HEADERS, Recording
from suture.link.recorded import COMMON, GLUE, PART, PROBE, LinkCommands
from suture.model import VMLINUX, LivePatch, PatchedFunction, PatchedObject
from suture.workspace import store
from suture.workspace.kbuild import build_external, clean_environment
from suture.workspace.prepare import Workspace

RECIPE = 1
"""Part of a recording's key; to be raised when recordings are made or used in another way."""

COMMANDS = "commands.json"

_PART = """\
#include <linux/printk.h>

void livepatch_function_0(void);

void livepatch_function_0(void)
{
	printk("suture: called\\n");
}
"""
"""A replacing function that calls an exported one, so that modpost has a version to record."""


def recording(workspace: Workspace) -> Recording | None:
    """Return the recording of a workspace; make it if there is none.

    :return: None where kbuild has to link the workspace's modules.
    :raises Refusal: ``disk-full``, ``tool-missing``
    """
    source = _glue(workspace.target.release)
    key = store.key([str(RECIPE), source, _PART, workspace.name])
    kept = workspace.directory / "link" / key[:12]
    if not kept.exists():
        with locked(workspace.directory / "link" / "lock"):
            if not kept.exists():
                with step("Watching how kbuild links", workspace.target.release):
                    _make(workspace, source, kept)
    commands = _load(kept)
    return None if commands is None else Recording(commands, kept)


def _glue(release: str) -> str:
    function = PatchedFunction("old", 0, "livepatch_function_0")
    return glue.source(LivePatch(PROBE, (PatchedObject(VMLINUX, (function,)),)), release)


def _make(workspace: Workspace, source: str, kept: Path) -> None:
    """Save a recording in `kept`; an empty directory where kbuild has to link modules."""
    remove_unfinished(kept.parent)
    with (
        new_directory(kept) as work,
        scratch_directory(cache() / "link", "probe-") as scratch,
    ):
        by_kbuild = (scratch / PROBE).resolve()
        by_kbuild.mkdir()
        if not _run_kbuild(workspace, source, by_kbuild):
            return
        commands = recorded.read(by_kbuild)
        if commands is None:
            return
        _precompile(workspace, commands, by_kbuild, work)
        if (by_kbuild / COMMON).exists():
            (work / COMMON).write_bytes(read_bytes(by_kbuild / COMMON))
        if _is_same(workspace, source, Recording(commands, work), by_kbuild):
            write_atomic(work / COMMANDS, json.dumps(asdict(commands)).encode())


def _run_kbuild(workspace: Workspace, source: str, directory: Path) -> bool:
    """Make the probe with kbuild.

    :return: False where kbuild cannot; its message about the user's own module will say more.
    """
    (directory / f"{GLUE}.c").write_text(source)
    (directory / f"{PART}.c").write_text(_PART)
    (directory / "Makefile").write_text(f"obj-m := {PROBE}.o\n{PROBE}-y := {GLUE}.o {PART}.o\n")
    return _links(
        lambda: build_external(
            workspace.target.release, workspace.compiler, workspace.tree, directory, unresolved=True
        )
    )


def _links(attempt: Callable[[], object]) -> bool:
    """Whether `attempt` links; another refusal than a failed link is raised."""
    try:
        attempt()
    except Refusal as refusal:
        if refusal.kind is not MODULE_LINK_FAILED:
            raise
        return False
    return True


def _precompile(workspace: Workspace, commands: LinkCommands, by_kbuild: Path, work: Path) -> None:
    pairs = (
        (commands.glue, GLUE_HEADERS, f"{GLUE}.c"),
        (commands.generated, GENERATED_HEADERS, f"{PROBE}.mod.c"),
    )
    for steps, headers, file in pairs:
        compiler = precompiled.parse_command(steps[0])
        text = (by_kbuild / file).read_text()
        if compiler and not precompiled.make(
            compiler, text, workspace.tree, clean_environment(), work / headers
        ):
            shutil.rmtree(work / headers)


def _is_same(workspace: Workspace, source: str, found: Recording, by_kbuild: Path) -> bool:
    directory = by_kbuild.parent / "direct" / PROBE
    directory.mkdir(parents=True)
    part = read_bytes(by_kbuild / f"{PART}.o")
    made = _links(
        lambda: direct.make(found, workspace.tree, directory, PROBE, source, {PART: part})
    )
    product = f"{PROBE}.ko"
    return made and read_bytes(directory / product) == read_bytes(by_kbuild / product)


def _load(kept: Path) -> LinkCommands | None:
    path = kept / COMMANDS
    if not path.exists():
        return None
    fields = json.loads(read_bytes(path))
    for name in ("glue", "generated"):
        fields[name] = tuple(tuple(words) for words in fields[name])
    return LinkCommands(**fields)
