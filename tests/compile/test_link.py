# SPDX-License-Identifier: GPL-2.0-or-later
"""Modules that are linked by kbuild's commands are those that kbuild links."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from suture.builder import build
from suture.builder.inputs import NO_CHOICES, Choices
from suture.elf import writer
from suture.elf.object import ObjectFile
from suture.kernel.release import Target
from suture.link import direct, kbuild, probe
from suture.link.precompiled import HEADER
from suture.workspace.prepare import Workspace
from tests.patches import Edit, diff
from tests.staying import STAY

CHUNK = Edit("fs/proc/meminfo.c", '"VmallocChunk:   "', '"VMALLOCCHUNK:   "')
VERSION = Edit(
    "fs/proc/version.c",
    "static int version_proc_show(struct seq_file *m, void *v)\n{\n",
    "static int version_proc_show(struct seq_file *m, void *v)\n{\n"
    '\tprintk_once(KERN_NOTICE "sutured\\n");\n',
)
CARRIER = Edit("drivers/net/dummy.c", "\t.ndo_change_carrier\t= dummy_change_carrier,\n", "")
LOOP = Edit(
    "drivers/block/loop.c",
    "static int loop_clr_fd(struct loop_device *lo)\n{\n",
    "static int loop_clr_fd(struct loop_device *lo)\n{\n\tcond_resched();\n",
)

SEVERAL = {
    "one file": ((CHUNK,), NO_CHOICES),
    "several files": ((CHUNK, VERSION), NO_CHOICES),
    "a module's object": ((LOOP,), NO_CHOICES),
    "the kernel and a module": ((VERSION, LOOP), NO_CHOICES),
    "a live patch that stays": (STAY["timer"][0], NO_CHOICES),
    "data": ((CARRIER,), Choices(patch_data=frozenset({"dummy_netdev_ops"}))),
}


@dataclass(slots=True)
class Seen:
    """What a build gave to be linked."""

    glue: str = ""
    objects: Mapping[str, ObjectFile] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, bytes]:
        return {stem: writer.write(obj) for stem, obj in self.objects.items()}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    found, really = Seen(), kbuild.link

    def link(
        workspace: Workspace, name: str, glue: str, objects: Mapping[str, ObjectFile]
    ) -> ObjectFile:
        found.glue, found.objects = glue, objects
        return really(workspace, name, glue, objects)

    monkeypatch.setattr(kbuild, "link", link)
    return found


@pytest.fixture
def recording(each_workspace: Workspace) -> direct.Recording:
    found = probe.recording(each_workspace)
    assert found is not None
    return found


Linker = Callable[[Path, str, str, Mapping[str, bytes]], object]


def module(linker: Linker, directory: Path, name: str, seen: Seen) -> bytes:
    """Made in `directory`, which must not be there yet."""
    directory.mkdir()
    linker(directory, name, seen.glue, seen.parts)
    return (directory / f"{name}.ko").read_bytes()


@pytest.mark.parametrize("what", SEVERAL)
@pytest.mark.parametrize("name", ["livepatch_fix", "x86"])
def test_a_module_is_the_same_to_the_byte(
    what: str,
    name: str,
    each_target: Target,
    each_workspace: Workspace,
    recording: direct.Recording,
    seen: Seen,
    tmp_path: Path,
) -> None:
    edits, choices = SEVERAL[what]
    patch = tmp_path / "fix.patch"
    patch.write_text(diff(each_workspace.tree, *edits))
    build([patch], each_target, output=tmp_path / "fix.ko", name=name, choices=choices)
    tree = each_workspace.tree
    assert direct.applies_to(tree, tmp_path, name, seen.glue, seen.objects)

    by_commands = module(
        lambda *given: direct.make(recording, tree, *given), tmp_path / "direct", name, seen
    )
    by_kbuild = module(
        lambda *given: kbuild.make_by_kbuild(each_workspace, *given),
        tmp_path / "kbuild",
        name,
        seen,
    )
    assert by_commands == by_kbuild


def test_the_headers_are_precompiled(recording: direct.Recording) -> None:
    """Not only is their text kept: the compiler has made of it what it reads in a blink."""
    for headers in (direct.GLUE_HEADERS, direct.GENERATED_HEADERS):
        assert (recording.directory / headers / f"{HEADER}.gch").stat().st_size > 1 << 20


def test_a_kernel_of_which_nothing_is_recorded_is_left_to_kbuild(
    workspace: Workspace, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch = tmp_path / "fix.patch"
    patch.write_text(diff(workspace.tree, CHUNK))
    build([patch], target, output=tmp_path / "first.ko", name="by_both")
    for kept in (workspace.directory / "objects").rglob("*"):
        if kept.is_file():
            kept.unlink()
    monkeypatch.setattr(kbuild, "recording", lambda workspace: None)
    build([patch], target, output=tmp_path / "second.ko", name="by_both")
    assert (tmp_path / "second.ko").read_bytes() == (tmp_path / "first.ko").read_bytes()
