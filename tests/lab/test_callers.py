# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixes in functions that the kernel cannot redirect: their callers, in whatever file, run the new code."""

from __future__ import annotations

from pathlib import Path

from suture.build import Built, build
from suture.kernel.release import Target
from suture.lab import hits
from suture.lab.machine import Machine
from suture.workspace.prepare import Workspace
from tests.lab.guest import Guest
from tests.patches import Edit, diff

BALLOC, UEVENT = "fs/udf/balloc.c", "lib/kobject_uevent.c"

OUT_OF_RANGE = Edit(
    BALLOC,
    '\t\tudf_debug("block_group (%u) > nr_groups (%d)\\n",\n\t\t\t  block_group, nr_groups);\n',
    '\t\tudf_debug("block_group (%u) >= nr_groups (%d)\\n",\n\t\t\t  block_group, nr_groups);\n'
    "\t\treturn -EFSCORRUPTED;\n",
)
"""As 6.1.y has it: load_block_bitmap() is inline, so in udf_new_block() and udf_prealloc_blocks(), which are too."""

OTHER_WORDS = Edit(UEVENT, '"unknown uevent action string"', '"sutured uevent action string"')
"""lib/Makefile takes the fentry calls out of this file; store_uevent() and two uevent_store() call it."""


def _built(directory: Path, target: Target, workspace: Workspace, name: str, edit: Edit) -> Built:
    patch = directory / f"{name}.patch"
    patch.write_text(diff(workspace.tree, edit))
    return build([patch], target, output=directory / f"{name}.ko", name=name)


def test_callers_in_other_files_run_the_new_code(target: Target, workspace: Workspace, tmp_path: Path) -> None:
    udf = _built(tmp_path, target, workspace, "balloc", OUT_OF_RANGE)
    words = _built(tmp_path, target, workspace, "words", OTHER_WORDS)
    assert {(one.source, one.calls) for one in udf.because} >= {
        ("fs/udf/inode.c", "udf_prealloc_blocks"),
        ("fs/udf/namei.c", "udf_new_block"),
        ("fs/udf/ialloc.c", "udf_new_block"),
    }
    assert {(one.source, one.function) for one in words.because} == {
        ("kernel/module/main.c", "store_uevent"),
        ("drivers/base/bus.c", "uevent_store"),
        ("drivers/base/bus.c", "bus_uevent_store"),
        ("drivers/base/core.c", "uevent_store"),
    }
    with Machine.boot(target, modules=["udf"]) as machine:
        guest = Guest(machine)
        guest.sh("modprobe udf")
        guest.load(udf)
        assert guest.sh("cat /sys/kernel/livepatch/balloc/udf/patched").strip() == "1"
        guest.unload(udf)

        nonsense = "echo nonsense >/sys/module/kernel/uevent; echo nonsense >/sys/class/mem/null/uevent; true"
        guest.sh(nonsense)
        assert machine.kernel_log().count("unknown uevent action string") == 2
        hits.arm(machine, "words", ["store_uevent"])
        guest.load(words)
        guest.sh(nonsense)
        assert hits.read(machine, "words", ["store_uevent"]) == [1]
        assert machine.kernel_log().count("sutured uevent action string") == 2
        assert machine.kernel_log().count("unknown uevent action string") == 2
        hits.disarm(machine)
        guest.unload(words)
        guest.sh(nonsense)
        assert machine.kernel_log().count("unknown uevent action string") == 4
        assert machine.complaints() == ()
