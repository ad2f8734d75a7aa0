# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture diff`` on objects of real kernels finds what ``suture build`` proves."""

from __future__ import annotations

import re
from pathlib import Path

from suture.builder import build
from suture.builder.compare_objects import compare_objects
from suture.formats import diff as patches
from suture.kernel.release import Target
from suture.workspace.compile import object_pairs, touched_by
from suture.workspace.prepare import Workspace
from tests.patches import Edit, diff
from tests.unit.toolchain import tool

MEMINFO = Edit("fs/proc/meminfo.c", '"MemTotal:       "', '"SutTotal:       "')


def test_the_same_is_cut_out_as_for_a_module_that_is_proved(
    each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    patch = tmp_path / "meminfo.patch"
    patch.write_text(diff(each_workspace.tree, MEMINFO))
    (pair,) = object_pairs(each_workspace, touched_by(each_workspace, patches.read([patch])))
    (tmp_path / "before.o").write_bytes(pair.original)
    (tmp_path / "after.o").write_bytes(pair.patched)
    found = compare_objects(
        tmp_path / "before.o",
        tmp_path / "after.o",
        objname=pair.objname,
        symbols=each_target.vmlinux,
        exports=each_target.symvers,
        name="fix",
        output=tmp_path / "out.o",
    )
    built = build([patch], each_target, output=tmp_path / "built.ko")
    replaced = [
        (f.old_name, f.sympos) for patched in built.patch.objects for f in patched.functions
    ]
    assert [(f.old_name, f.sympos) for f in found.functions] == replaced
    pattern = re.compile(r"\.klp\.sym\.\S+")
    reached = set(pattern.findall(tool("readelf", "-sW", tmp_path / "out.o")))
    assert reached
    assert reached == set(pattern.findall(tool("readelf", "-sW", tmp_path / "built.ko")))
