# SPDX-License-Identifier: GPL-2.0-or-later
"""Live patches that hand out addresses of their own stay in memory; plain fixes do not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import suture
from suture.builder.artifact import Artifact
from suture.cli.build import for_people
from suture.kernel.release import Target
from suture.workspace.prepare import Workspace
from tests.compile.test_cases import CASES
from tests.patches import Edit, diff
from tests.staying import DUMMY, GO, STAY, TABLE
from tests.unit.toolchain import tool


def built(target: Target, workspace: Workspace, place: Path, *edits: Edit) -> Artifact:
    patch = place / "fix.patch"
    patch.write_text(diff(workspace.tree, *edits))
    return suture.build([patch], target)


def init_calls(module: bytes) -> list[str]:
    """What the module's init function calls, by objdump."""
    text = tool("objdump", "-dr", "--disassemble=init_module", data=module)
    return re.findall(r"R_X86_64_P(?:LT|C)32\s+(klp_enable_patch|__module_get)\b", text)


@pytest.mark.parametrize("case", STAY)
def test_a_live_patch_that_hands_out_addresses_stays(
    case: str, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    edits, things = STAY[case]
    artifact = built(each_target, each_workspace, tmp_path, *edits)
    reasons = artifact.patch.stays
    for thing in things:
        assert any(thing in reason for reason in reasons), reasons
    assert init_calls(artifact.data) == ["klp_enable_patch", "__module_get"]
    said = tool("readelf", "-p", ".modinfo", data=artifact.data)
    assert re.findall(r"livepatch_stays=(.*)", said) == list(reasons)
    assert "Suture" in tool("readelf", "--notes", data=artifact.data)


def test_a_table_in_memory_may_lead_to_a_new_function(
    each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    patch = tmp_path / "table.patch"
    patch.write_text(diff(each_workspace.tree, *TABLE))
    choices = suture.Choices(patch_data=frozenset({"dummy_netdev_ops"}))
    artifact = suture.build([patch], each_target, choices=choices)
    assert artifact.patch.stays == ("dummy_netdev_ops points to suture_carrier()",)
    assert artifact.new == ((DUMMY, "suture_carrier"),)
    assert init_calls(artifact.data) == ["klp_enable_patch", "__module_get"]
    relocations = tool("readelf", "-rW", data=artifact.data)
    value = relocations.split(".rela.rodata.livepatch_data_0_new'", 1)[1].split("\n\n", 1)[0]
    assert re.search(r"livepatch_data_0_to_0|suture_carrier", value)


AUTHOR = r"""
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/seq_file.h>
#include <linux/workqueue.h>
static void later(struct work_struct *work) { pr_info("suture: later\n"); }
static DECLARE_WORK(ours, later);
static int heard(struct notifier_block *block, unsigned long event, void *data) { return 0; }
static struct notifier_block in_init = { .notifier_call = heard };
static int new_version_proc_show(struct seq_file *m, void *v)
{
	SCHEDULE
	seq_puts(m, "ours\n");
	return 0;
}
static struct klp_func funcs[] = {
	{ .old_name = "version_proc_show", .new_func = new_version_proc_show }, { }
};
static struct klp_object objs[] = { { .funcs = funcs }, { } };
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objs, .replace = true };
static int fix_init(void)
{
	register_reboot_notifier(&in_init);
	return klp_enable_patch(&patch);
}
static void fix_exit(void)
{
	unregister_reboot_notifier(&in_init);
	cancel_work_sync(&ours);
}
module_init(fix_init);
module_exit(fix_exit);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
"""
REASON = "new_version_proc_show() passes ours to queue_work_on()"


def authored(place: Path, *, schedules: bool) -> Path:
    """An author's module; what its init function registers, its exit function takes back."""
    source = place / "author.c"
    source.write_text(AUTHOR.replace("SCHEDULE", "schedule_work(&ours);" if schedules else ""))
    return source


def test_an_authors_module_decides_for_itself(each_target: Target, tmp_path: Path) -> None:
    artifact = suture.build([authored(tmp_path, schedules=True)], each_target)
    assert artifact.hands_out == (REASON,)
    assert artifact.patch.stays == ()
    assert f"hands out an address in it: {REASON}" in for_people(artifact)
    (tmp_path / "other").mkdir()
    plain = suture.build([authored(tmp_path / "other", schedules=False)], each_target)
    assert plain.hands_out == ()


@pytest.mark.parametrize("schedules", [True, False])
def test_an_authors_module_with_another_input_stays_for_the_same_reasons(
    schedules: bool, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    patch = tmp_path / "fix.patch"
    edit = Edit("fs/proc/meminfo.c", '"VmallocChunk:   "', '"VMALLOCCHUNK:   "')
    patch.write_text(diff(each_workspace.tree, edit))
    artifact = suture.build([authored(tmp_path, schedules=schedules), patch], each_target)
    assert artifact.patch.stays == ((REASON,) if schedules else ())
    assert init_calls(artifact.data).count("__module_get") == int(schedules)


@pytest.mark.parametrize("case", GO)
def test_a_plain_fix_can_be_unloaded(
    case: str, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    artifact = built(each_target, each_workspace, tmp_path, *GO[case])
    assert artifact.patch.stays == ()
    assert init_calls(artifact.data) == ["klp_enable_patch"]
    assert "Suture" not in tool("readelf", "--notes", data=artifact.data)


def test_the_case_of_a_new_work_item_stays(each_target: Target) -> None:
    artifact = suture.build([CASES / "new-work.patch"], each_target)
    assert artifact.patch.stays == (
        "version_proc_show() passes adv_work to queue_delayed_work_on()",
    )
    assert suture.inspect(artifact).patch.stays == artifact.patch.stays
