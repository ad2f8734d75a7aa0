# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that lab tests share, and modules made without Suture's own builder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from suture.host import run
from suture.kernel.release import Target
from suture.lab.machine import Machine
from suture.workspace import kbuild
from suture.workspace.prepare import Workspace

BuildModule = Callable[[str, str], bytes]
"""From a module's name and its C source to the module."""


@pytest.fixture(scope="session")
def build_module(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> BuildModule:
    """Compile a module with the target's kbuild alone."""

    def build(name: str, source: str) -> bytes:
        directory: Path = tmp_path_factory.mktemp(name)
        (directory / f"{name}.c").write_text(source)
        (directory / "Makefile").write_text(f"obj-m := {name}.o\n")
        command = kbuild.make_command(workspace.target.release, workspace.compiler, f"M={directory}", "modules")
        run.check(command, cwd=workspace.tree, env=kbuild.clean_environment())
        return (directory / f"{name}.ko").read_bytes()

    return build


@pytest.fixture(scope="session")
def machine(target: Target) -> Iterator[Machine]:
    """A guest for tests that leave it as they found it."""
    with Machine.boot(target, modules=["loop", "ext4", "xfs"], files={"/lab/given": bytes(range(256))}) as booted:
        yield booted
