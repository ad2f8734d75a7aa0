# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that lab tests share, and modules made without Suture's own builder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from suture.builder import build
from suture.builder.artifact import Artifact
from suture.builder.inputs import Choices
from suture.host import run
from suture.kernel.release import Target
from suture.lab.machine import Machine
from suture.workspace import kbuild
from suture.workspace.prepare import Workspace
from tests.lab.guest import Guest
from tests.patches import Edit, diff

BuildModule = Callable[[str, str], bytes]
"""From a module's name and its C source to the module."""


@pytest.fixture(scope="session")
def build_module(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> BuildModule:
    """Compile a module with the target's kbuild alone."""

    def build(name: str, source: str) -> bytes:
        directory: Path = tmp_path_factory.mktemp(name)
        (directory / f"{name}.c").write_text(source)
        (directory / "Makefile").write_text(f"obj-m := {name}.o\n")
        command = kbuild.make_command(
            workspace.target.release, workspace.compiler, f"M={directory}", "modules"
        )
        run.check(command, cwd=workspace.tree, env=kbuild.clean_environment())
        return (directory / f"{name}.ko").read_bytes()

    return build


@pytest.fixture(scope="session")
def machine(target: Target) -> Iterator[Machine]:
    """A guest for tests that leave it as they found it."""
    with Machine.boot(
        target, modules=["loop", "ext4", "xfs"], files={"/lab/given": bytes(range(256))}
    ) as booted:
        yield booted


MakeEach = Callable[..., Artifact]
"""``(name, *groups, data=frozenset())``: a live patch of one patch file for each group of edits."""


@pytest.fixture(scope="session")
def make_each(
    each_target: Target, each_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> MakeEach:
    """Build for a kernel of each series; what has been built before is given again."""
    directory = tmp_path_factory.mktemp("made")
    done: dict[str, Artifact] = {}

    def made(name: str, *groups: tuple[Edit, ...], data: frozenset[str] = frozenset()) -> Artifact:
        if name not in done:
            patches = [directory / f"{name}-{number}.patch" for number, _ in enumerate(groups)]
            for path, edits in zip(patches, groups, strict=True):
                path.write_text(diff(each_workspace.tree, *edits))
            done[name] = build(
                patches,
                each_target,
                output=directory / f"{name}.ko",
                name=name,
                choices=Choices(data),
            )
        return done[name]

    return made


@pytest.fixture(scope="session")
def each_guest(each_target: Target) -> Iterator[Guest]:
    """A kernel of each series, for tests that leave it as they found it."""
    with Machine.boot(each_target, modules=["null_blk"]) as machine:
        yield Guest(machine)
        assert machine.complaints() == ()
