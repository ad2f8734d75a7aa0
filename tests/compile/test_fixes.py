# SPDX-License-Identifier: GPL-2.0-or-later
"""The fixes between a real kernel and the newest version of its source.  Witnesses: diff(1) on the
sources as GNU tar unpacks them, the modules that the kernel's package ships."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from suture.fixes.listing import FixList, list_fixes, newer_versions
from suture.kernel.release import Target
from suture.workspace import objects
from suture.workspace.prepare import Workspace


@pytest.fixture(scope="module")
def found(each_target: Target) -> FixList:
    return list_fixes(each_target)


@pytest.mark.make_test_takes("6.12")
def test_a_real_list(found: FixList, each_target: Target) -> None:
    assert found.old == each_target.version != found.new
    assert found.files
    changed = {one.path for one in found.files}
    assert {path for fix in found.fixes for path in fix.files} <= changed
    assert any(one.objects for one in found.files)


@pytest.mark.make_test_takes("6.12")
def test_the_files_are_those_that_differ(
    found: FixList, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    offer = next(one for one in newer_versions(each_target) if one.version == found.new)
    directory = "kernel"
    new = tmp_path / "new"
    new.mkdir()
    archive = offer.get(tmp_path).archive
    subprocess.run(
        [
            *("tar", "-x", "-f", archive, "-C", new, "--strip-components=1"),
            *("--wildcards", f"*/{directory}/*"),
        ],
        check=True,
    )
    told = subprocess.run(
        ["diff", "-rq", each_workspace.tree / directory, new / directory],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    ).stdout
    differ = {
        os.path.relpath(line.split()[1], each_workspace.tree)
        for line in told.splitlines()
        if line.startswith("Files ") and line.split()[1].endswith((".c", ".h", ".S"))
    }
    listed_there = {one.path for one in found.files if one.path.startswith(f"{directory}/")}
    only_new = {path for path in listed_there if not (each_workspace.tree / path).exists()}
    assert listed_there - only_new == differ


@pytest.mark.make_test_takes("6.1")
def test_each_module_has_its_objects(each_workspace: Workspace) -> None:
    """kbuild's own lists, against the modules that the package has."""
    known = objects.everything(each_workspace)
    of_objects = {name for names in known.modules.values() for name in names}
    shipped = {
        path.name.partition(".ko")[0].replace("-", "_")
        for path in each_workspace.target.modules.rglob("*.ko*")
    }
    assert of_objects == shipped
    assert set(known.modules) <= set(known.listed)
    assert known.modules["fs/udf/super.o"] == ("udf",)
    assert "net/core/dev.o" not in known.modules
