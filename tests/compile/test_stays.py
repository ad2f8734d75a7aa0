# SPDX-License-Identifier: GPL-2.0-or-later
"""Live patches that hand out addresses of their own stay in memory; plain fixes do not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import suture
from suture.builder.artifact import Artifact
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
