# SPDX-License-Identifier: GPL-2.0-or-later
"""The target that the lab tests boot, and live patch modules made for it without Suture's own builder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from suture.host import run
from suture.kernel.archive import fetch, fetched, offers
from suture.kernel.release import Target
from suture.lab.machine import Machine
from suture.workspace import kbuild
from suture.workspace.prepare import Workspace, prepare

SERIES = "6.1."
FLAVOUR = "-amd64"

BuildModule = Callable[[str, str], bytes]
"""From a module's name and its C source to the module."""


@pytest.fixture(scope="session")
def target() -> Target:
    """Any 6.1 amd64 release that is here or that the archive offers, or ``$SUTURE_TEST_RELEASE``."""
    release = os.environ.get("SUTURE_TEST_RELEASE") or next(_releases())
    return fetch(release)


def _releases() -> Iterator[str]:
    known = [*(target.release for target in fetched()), *(offer.release for offer in offers())]
    # Not "-cloud-amd64" or "-rt-amd64": those are other configurations.
    return (r for r in known if r.startswith(SERIES) and r.endswith(FLAVOUR) and r.count("-") == 2)


@pytest.fixture(scope="session")
def workspace(target: Target) -> Workspace:
    return prepare(target)


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
    with Machine.boot(target, modules=["loop", "ext4"], files={"/lab/given": bytes(range(256))}) as booted:
        yield booted
