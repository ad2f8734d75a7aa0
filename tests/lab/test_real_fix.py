# SPDX-License-Identifier: GPL-2.0-or-later
"""Real fixes: what changed in a file between the target's source package and a newer one becomes a
live patch."""

from __future__ import annotations

import difflib
import subprocess
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from suture.builder import build
from suture.builder.artifact import Artifact
from suture.errors import Refusal
from suture.host.paths import cache
from suture.kernel.release import Target
from suture.lab.machine import Machine
from suture.sources import apt
from suture.sources.debian import DebianOffer
from suture.workspace.prepare import Workspace
from tests.conftest import debian_12_offers
from tests.lab.guest import Guest

DIRECTORIES = ("fs", "kernel", "mm", "net")
WANTED, TRIED = 4, 16

HONEST = {
    "init-function-changed",
    "exit-function-changed",
    "tracepoint-changed",
    "data-changed",
    "section-changed",
    "no-code-change",
    "file-not-built",
    "function-not-traceable",
    "caller-uncertain",
    "callers-too-many",
    "special-reference-unsupported",
    "original-does-not-compile",
    "patch-does-not-compile",
}
"""Reasons for which one file's part of a release need not be a live patch by itself."""


@pytest.fixture(scope="module")
def newer(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The newest source of the target's series that is not the target's own."""
    offer = _newest_other(target)
    packages = cache() / "packages"
    apt.download([offer.source], packages, offer.archives)
    directory = tmp_path_factory.mktemp("newer")
    deb = packages / offer.source.file_name
    archive = f"./usr/src/{offer.source.name}.tar.xz"
    wanted = " ".join(f"'{offer.source.name}/{directory}/*.c'" for directory in DIRECTORIES)
    command = (
        f"dpkg-deb --fsys-tarfile {deb} | tar -xO {archive} | "
        f"tar -xJ -C {directory} --strip-components=1 --wildcards {wanted}"
    )
    subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True)
    return directory


def _newest_other(target: Target) -> DebianOffer:
    series = target.release.split(".")[:2]
    for offer in debian_12_offers():
        assert isinstance(offer, DebianOffer)
        if offer.release.split(".")[:2] == series and offer.version != target.version:
            return offer
    pytest.skip("the archive has no other source of this series")


@pytest.fixture(scope="module")
def fixes(
    target: Target, workspace: Workspace, newer: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[Artifact]:
    """Live patches from the smallest differences that make one."""
    directory = tmp_path_factory.mktemp("fixes")
    built: list[Artifact] = []
    for path, text in islice(_differences(workspace.tree, newer), TRIED):
        patch = directory / f"fix_{path.replace('/', '_').removesuffix('.c')}.patch"
        patch.write_text(text)
        try:
            built.append(build([patch], target, output=patch.with_suffix(".ko")))
        except Refusal as refusal:
            if refusal.code not in HONEST:
                raise
        if len(built) == WANTED:
            break
    return built


def _differences(old: Path, new: Path) -> Iterator[tuple[str, str]]:
    """Path and unified diff of files that differ, small ones first."""
    found = []
    for file in sorted(new.rglob("*.c")):
        path = str(file.relative_to(new))
        if not (old / path).exists():
            continue
        before, after = (old / path).read_text(errors="replace"), file.read_text(errors="replace")
        if before != after:
            lines = list(
                difflib.unified_diff(
                    before.splitlines(True), after.splitlines(True), f"a/{path}", f"b/{path}"
                )
            )
            found.append((len(lines), path, "".join(lines)))
    return ((path, text) for _, path, text in sorted(found))


def test_real_fixes_load_and_leave_without_a_complaint(
    target: Target, fixes: list[Artifact]
) -> None:
    assert fixes
    modules = {
        patched.name
        for built in fixes
        for patched in built.patch.objects
        if patched.name != "vmlinux"
    }
    in_force = 0
    with Machine.boot(target, modules=sorted(modules)) as machine:
        guest = Guest(machine)
        for built in fixes:
            names = [patched.name for patched in built.patch.objects]
            # A module may want hardware, or others that it asks for by itself; the live patch then
            # waits for it.
            present = [
                name
                for name in names
                if name == "vmlinux" or machine.run(f"modprobe {name}").status == 0
            ]
            guest.load(built)
            for name in present:
                patched = guest.sh(
                    f"cat /sys/kernel/livepatch/{built.patch.name}/{name}/patched"
                ).strip()
                assert patched == "1", f"{built.patch.name}: {name}"
            in_force += len(present)
            guest.unload(built)
        assert machine.complaints() == ()
    assert in_force, "no fix was in force: none of their modules could be loaded"
