# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches of all kinds, ten and one more, seen at work in one boot of a kernel.

``SUTURE_TEN=6.1.0-55-amd64,7.3.4+deb13-amd64`` names the kernels; by default it is one of the newest
(`newest_target`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from suture.builder import build
from suture.builder.artifact import Artifact
from suture.builder.inputs import Choices
from suture.errors import Refusal
from suture.kernel.release import Target
from suture.lab.machine import Machine
from suture.sources import fetch
from suture.workspace.prepare import Workspace, prepare
from tests.lab.guest import Guest
from tests.patches import diff
from tests.ten import AUTHOR_MODULE, DISK_FILE, MOUNT, NOTRACE, SEEN, SeenPatch, make_disk

NEWEST = "newest"


@pytest.fixture(scope="module", params=os.environ.get("SUTURE_TEN", NEWEST).split(","))
def ten_target(request: pytest.FixtureRequest) -> Target:
    if request.param != NEWEST:
        return fetch(request.param)
    newest: Target = request.getfixturevalue("newest_target")
    return newest


@pytest.fixture(scope="module")
def ten_workspace(ten_target: Target) -> Workspace:
    return prepare(ten_target)


@pytest.fixture(scope="module")
def ten_guest(ten_target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """A guest with a mounted ext4; its only complaint is the warning that a patch asks for."""
    disk = tmp_path_factory.mktemp("disk") / "ext4.img"
    make_disk(disk)
    files = {DISK_FILE: disk.read_bytes()}
    with Machine.boot(ten_target, modules=["loop", "ext4"], files=files) as machine:
        guest = Guest(machine)
        guest.sh(MOUNT)
        yield guest
        unexpected = [one for one in machine.complaints() if "fs/proc/version.c" not in str(one)]
        assert unexpected == []


def made(patch: SeenPatch, target: Target, workspace: Workspace, directory: Path) -> Artifact:
    return build(
        [patch.write(workspace.tree, directory)],
        target,
        output=directory / f"{patch.name}.ko",
        name=patch.name,
        choices=Choices(patch.data),
    )


def seen(guest: Guest, command: str) -> str:
    return " ".join(guest.sh(command).split())


@pytest.mark.parametrize("patch", SEEN, ids=lambda patch: patch.name)
def test_a_patch_is_in_force_and_taken_back(
    patch: SeenPatch,
    ten_target: Target,
    ten_workspace: Workspace,
    ten_guest: Guest,
    tmp_path: Path,
) -> None:
    artifact = made(patch, ten_target, ten_workspace, tmp_path)
    functions = [one.old_name for item in artifact.patch.objects for one in item.functions]
    assert set(patch.replaced) <= set(functions)
    assert seen(ten_guest, patch.command) == patch.before
    ten_guest.load(artifact)
    assert seen(ten_guest, patch.command) == patch.after
    ten_guest.unload(artifact)
    assert seen(ten_guest, patch.command) == (patch.afterwards or patch.before)


def test_a_function_that_ftrace_cannot_redirect_is_refused(
    ten_target: Target, ten_workspace: Workspace, tmp_path: Path
) -> None:
    path = tmp_path / "notrace.patch"
    path.write_text(diff(ten_workspace.tree, *NOTRACE))
    with pytest.raises(Refusal) as refusal:
        build([path], ten_target, output=tmp_path / "notrace.ko")
    assert refusal.value.code == "caller-uncertain"
    assert "trace_clock_local()" in refusal.value.where


def test_the_kernels_own_sample_is_an_authors_module(
    ten_target: Target, ten_workspace: Workspace, ten_guest: Guest, tmp_path: Path
) -> None:
    source = ten_workspace.tree / AUTHOR_MODULE
    artifact = build([source], ten_target, output=tmp_path / "sample.ko")
    ten_guest.load(artifact)
    assert seen(ten_guest, "cat /proc/cmdline") == "this has been live patched"
    ten_guest.unload(artifact)
    assert "live patched" not in seen(ten_guest, "cat /proc/cmdline")
