# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches that are unsafe in one way each: refused by name, or built right (tests/cases)."""

from __future__ import annotations

from pathlib import Path

import pytest

import suture
from suture.errors import Refusal
from suture.kernel.release import Target
from suture.workspace.prepare import Workspace
from tests.examples import shows
from tests.patches import Edit, diff

CASES = Path(__file__).resolve().parents[1] / "cases"

REFUSED = {
    # The target holds the strong function of another file, with the same bytes.
    "weak-overridden": ("function-not-in-kernel", "arch_vma_name()"),
    # The running kernel's callers go on calling the weak function.
    "strong-over-weak": ("strong-over-weak", "vma_mmu_pagesize()"),
    # The list of devices is in the variable of the old name.
    "static-renamed": ("state-renamed", "drivers/char/misc.c"),
    # Left-out __init code allocates what the new code reads.
    "init-allocates": ("state-not-set-up", "fs/proc/version.c:14: version_proc_show()"),
    # The function is in configfs, which the module that calls it does not depend on.
    "lib-no-dep": ("module-dependency-new", "suture_is_root"),
}


def refused(patch: Path, target: Target) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        suture.build([patch], target)
    return refusal.value


@pytest.mark.parametrize("case", REFUSED)
def test_an_unsafe_patch_is_refused_by_name(case: str, target: Target) -> None:
    code, where = REFUSED[case]
    found = refused(CASES / f"{case}.patch", target)
    assert found.code == code
    assert where in found.where
    if code == "strong-over-weak":
        shows(found, "strong-over-weak")


def test_an_object_that_only_gets_new_code_is_listed_in_the_live_patch(target: Target) -> None:
    """The core applies the relocations of objects that are in klp_patch.objs, and no others."""
    artifact = suture.build([CASES / "lib-module-new-fn.patch"], target)
    listed = {item.name: len(item.functions) for item in artifact.patch.objects}
    assert listed == {"configfs": 0, "null_blk": 1}
    inspection = suture.inspect(artifact)
    assert {one.objname for one in inspection.references} == {"configfs"}
    assert inspection.unapplied == ()


def test_a_module_with_relocations_that_nothing_applies_is_refused(target: Target) -> None:
    artifact = suture.build([CASES / "lib-module-new-fn.patch"], target)
    # As a tool would build it that lists only objects with replaced functions.
    damaged = artifact.data.replace(b".klp.rela.configfs.", b".klp.rela.configfz.")
    assert suture.inspect(damaged).unapplied == ("configfz",)
    with pytest.raises(Refusal) as refusal:
        suture.verify_module(damaged, target)
    shows(refusal.value, "relocations-unapplied")


def test_a_function_with_a_table_of_its_labels_is_replaced(each_target: Target) -> None:
    """___bpf_prog_run() jumps by a table, which is in a writable section of the object of 6.12."""
    artifact = suture.build([CASES / "bpf-interp.patch"], each_target)
    (vmlinux,) = artifact.patch.objects
    assert [function.old_name for function in vmlinux.functions] == ["___bpf_prog_run"]


ADDED = "\nint suture_added(void) { return 1; }\n"


def test_a_global_that_two_files_of_the_patch_add_is_refused(
    target: Target, workspace: Workspace, tmp_path: Path
) -> None:
    anchors = {
        "fs/proc/version.c": "\nfs_initcall(proc_version_init);",
        "fs/proc/loadavg.c": "\nfs_initcall(proc_loadavg_init);",
    }
    edits = [Edit(path, anchor, ADDED + anchor) for path, anchor in anchors.items()]
    patch = tmp_path / "twice.patch"
    patch.write_text(diff(workspace.tree, *edits))
    found = refused(patch, target)
    assert "suture_added()" in found.where
    shows(found, "global-defined-twice")


def test_a_global_that_the_kernel_has_is_refused(
    target: Target, workspace: Workspace, tmp_path: Path
) -> None:
    anchor = "\nfs_initcall(proc_version_init);"
    added = "\nint sha1_init(void) { return 1; }\n"
    patch = tmp_path / "kernel.patch"
    patch.write_text(diff(workspace.tree, Edit("fs/proc/version.c", anchor, added + anchor)))
    found = refused(patch, target)
    assert found.code == "global-defined-twice"
    assert "vmlinux has one already" in found.found
