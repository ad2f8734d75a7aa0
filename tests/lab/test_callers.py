# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixes in functions that the kernel cannot redirect: their callers, in whatever file, run the new
code."""

from __future__ import annotations

import lzma
from pathlib import Path

from suture.builder import build
from suture.builder.artifact import Artifact
from suture.kernel.release import Target
from suture.lab import hits
from suture.lab.machine import Machine
from suture.workspace.prepare import Workspace
from tests.lab.guest import Guest
from tests.patches import Edit, diff

BALLOC, UEVENT = "fs/udf/balloc.c", "lib/kobject_uevent.c"

NO_BITMAP = Edit(
    BALLOC,
    "\tif (!bitmap->s_block_bitmap[slot])\n\t\treturn -EIO;\n",
    "\tif (!bitmap->s_block_bitmap[slot])\n\t\treturn -EFSCORRUPTED;\n",
)
"""load_block_bitmap() is inline, so in udf_new_block() and udf_prealloc_blocks(), which are too."""

NO_ROOM = Edit(
    BALLOC,
    "\tstruct udf_part_map *map = &UDF_SB(sb)->s_partmaps[partition];\n\tudf_pblk_t block;\n\n",
    "\tstruct udf_part_map *map = &UDF_SB(sb)->s_partmaps[partition];\n\tudf_pblk_t block;\n\n"
    "\tif (sb->s_flags & SB_SYNCHRONOUS) {\n\t\t*err = -EDQUOT;\n\t\treturn 0;\n\t}\n",
)
"""So that it shows: a file system mounted with ``-o sync`` has no new blocks."""

IMAGE = Path(__file__).with_name("udf.img.xz")
"""``truncate -s 1M udf.img; mkudffs --label=suture udf.img; xz -9e udf.img`` (udftools 2.3)."""

OTHER_WORDS = Edit(UEVENT, '"unknown uevent action string"', '"sutured uevent action string"')
"""lib/Makefile takes the fentry calls out of this file; store_uevent() and two uevent_store() call
it."""


def _built(
    directory: Path, target: Target, workspace: Workspace, name: str, *edits: Edit
) -> Artifact:
    patch = directory / f"{name}.patch"
    patch.write_text(diff(workspace.tree, *edits))
    return build([patch], target, output=directory / f"{name}.ko", name=name)


def test_callers_in_other_files_run_the_new_code(
    target: Target, workspace: Workspace, tmp_path: Path
) -> None:
    udf = _built(tmp_path, target, workspace, "balloc", NO_BITMAP, NO_ROOM)
    words = _built(tmp_path, target, workspace, "words", OTHER_WORDS)
    assert {(one.source, one.calls) for one in udf.callers} >= {
        ("fs/udf/balloc.c", "load_block_bitmap"),
        ("fs/udf/inode.c", "udf_new_block"),
        ("fs/udf/namei.c", "udf_new_block"),
        ("fs/udf/ialloc.c", "udf_new_block"),
    }
    assert {(one.source, one.function) for one in words.callers} == {
        ("kernel/module/main.c", "store_uevent"),
        ("drivers/base/bus.c", "uevent_store"),
        ("drivers/base/bus.c", "bus_uevent_store"),
        ("drivers/base/core.c", "uevent_store"),
    }
    image = {"/lab/udf.img": lzma.decompress(IMAGE.read_bytes())}
    with Machine.boot(target, modules=["udf", "loop"], files=image) as machine:
        guest = Guest(machine)
        guest.sh(
            "modprobe loop; modprobe udf; mkdir -p /mnt; mount -t udf -o loop,sync /lab/udf.img /mnt"
        )
        guest.sh("mkdir /mnt/before")
        guest.load(udf)
        assert guest.sh("cat /sys/kernel/livepatch/balloc/udf/patched").strip() == "1"
        refused = machine.run("mkdir /mnt/during")
        assert refused.status != 0
        assert "quota exceeded" in refused.text
        guest.sh("mount -o remount,async /mnt && mkdir /mnt/async && mount -o remount,sync /mnt")
        guest.unload(udf)
        guest.sh("mkdir /mnt/after")
        assert guest.sh("ls /mnt").split() == ["after", "async", "before"]
        guest.sh("umount /mnt")

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
