# SPDX-License-Identifier: GPL-2.0-or-later
"""New code of a module that gets nothing else, and names that somebody else provides, on both kernel
series."""

from __future__ import annotations

from pathlib import Path

import pytest

import suture
from suture.kernel.release import Target
from suture.workspace.prepare import Workspace
from tests.compile.test_cases import refused
from tests.patches import Edit, diff

ITEM, MOUNT, NULL_BLK = "fs/configfs/item.c", "fs/configfs/mount.c", "drivers/block/null_blk/main.c"
VERSION, DUMMY = "fs/proc/version.c", "drivers/net/dummy.c"
AT_ITEM = "EXPORT_SYMBOL(config_group_find_item);\n"
FEATURES = "static ssize_t memb_group_features_show(struct config_item *item, char *page)\n{\n"
INITCALL = "\nfs_initcall(proc_version_init);"
TOOK = "extern int suture_new(struct config_item *item);\n"


def added(path: str, anchor: str, code: str) -> Edit:
    return Edit(path, anchor, f"{code}\n{anchor}")


USER = Edit(NULL_BLK, FEATURES, f"{TOOK}{FEATURES}\tif (suture_new(item) > 7)\n\t\treturn 0;\n")
IS_ROOT = "int configfs_is_root(struct config_item *item);\n"

NEVER_APPLIED = {
    "a function that its module does not export": (
        added(ITEM, AT_ITEM, f"{IS_ROOT}int suture_new(struct config_item *item)\n{{\n\treturn configfs_is_root(item);\n}}"),
        USER,
    ),
    "a static function": (
        added(ITEM, AT_ITEM, "int suture_new(struct config_item *item)\n{\n\tif (!item)\n\t\tconfig_item_cleanup(item);\n\treturn 1;\n}"),
        USER,
    ),
    "a static variable": (
        added(MOUNT, "core_initcall(configfs_init);", "int suture_new(struct config_item *item)\n{\n\treturn configfs_mnt_count;\n}"),
        USER,
    ),
    "a table of functions": (
        added(ITEM, AT_ITEM, f"{IS_ROOT}int (*suture_table[])(struct config_item *) = {{ configfs_is_root }};\n"
              "int suture_new(struct config_item *item)\n{\n\treturn suture_table[0](item);\n}"),
        USER,
    ),
    "two functions, of which one calls the other": (
        added(ITEM, AT_ITEM, f"{IS_ROOT}static noinline int suture_inner(struct config_item *item)\n{{\n\treturn configfs_is_root(item);\n}}\n"
              "int suture_new(struct config_item *item)\n{\n\treturn suture_inner(item) + 1;\n}"),
        USER,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NEVER_APPLIED)
def test_references_of_an_object_without_replaced_functions_are_applied(
    case: str, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    patch = tmp_path / "case.patch"
    patch.write_text(diff(each_workspace.tree, *NEVER_APPLIED[case]))
    artifact = suture.build([patch], each_target)
    functions = {item.name: len(item.functions) for item in artifact.patch.objects}
    assert functions == {"configfs": 0, "null_blk": 1}
    inspection = suture.inspect(artifact)
    assert "configfs" in {one.objname for one in inspection.references}
    assert inspection.unapplied == ()


NEW = added(ITEM, AT_ITEM, f"{IS_ROOT}int suture_new(struct config_item *item)\n{{\n\treturn configfs_is_root(item);\n}}")  # fmt: skip
SHOW = "static int version_proc_show(struct seq_file *m, void *v)\n{\n"
XMIT = "static netdev_tx_t dummy_xmit(struct sk_buff *skb, struct net_device *dev)\n{\n"

PROVIDED_ELSEWHERE = {
    "a module that is not loaded before": (
        (NEW, Edit(DUMMY, XMIT, f"struct config_item;\n{TOOK}{XMIT}\tif (suture_new((void *)skb) > 7)\n\t\treturn NETDEV_TX_OK;\n")),
        "module-dependency-new",
    ),
    "a module for the core kernel": (
        (NEW, Edit(VERSION, SHOW, f"struct config_item;\n{TOOK}{SHOW}\tif (suture_new(NULL) > 7)\n\t\treturn 0;\n")),
        "module-dependency-new",
    ),
    "a second function of the kernel's": (
        (added(VERSION, INITCALL, "\nunsigned int nr_iowait(void)\n{\n\treturn 1;\n}"),),
        "global-defined-twice",
    ),
    "two files of the patch": (
        (added(VERSION, INITCALL, "\nint suture_twice(void)\n{\n\treturn 1;\n}"),
         added("fs/proc/loadavg.c", "\nfs_initcall(proc_loadavg_init);", "\nint suture_twice(void)\n{\n\treturn 1;\n}")),
        "global-defined-twice",
    ),
    "a strong function over a weak one": (
        (Edit(VERSION, SHOW, f"{SHOW}\tseq_puts(m, \"strong \");\n"),
         added(VERSION, INITCALL, "\nstruct vm_area_struct;\nunsigned long vma_mmu_pagesize(struct vm_area_struct *vma)\n{\n\treturn 1;\n}")),
        "strong-over-weak",
    ),
    "a weak function that the architecture overrides": (
        (Edit("kernel/signal.c", "arch_vma_name(struct vm_area_struct *vma)\n{\n\treturn NULL;", "arch_vma_name(struct vm_area_struct *vma)\n{\n\treturn \"x\";"),),
        "function-not-in-kernel",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PROVIDED_ELSEWHERE)
def test_a_name_that_somebody_else_provides_is_refused(
    case: str, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    edits, code = PROVIDED_ELSEWHERE[case]
    patch = tmp_path / "case.patch"
    patch.write_text(diff(each_workspace.tree, *edits))
    assert refused(patch, each_target).code == code
