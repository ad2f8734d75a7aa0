# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches that went wrong in a booted kernel once, built and tried (tests/cases)."""

from __future__ import annotations

import suture
from suture.builder.inputs import Choices
from suture.errors import Acceptance
from suture.kernel.release import Target
from tests.compile.test_cases import CASES


def test_new_code_of_a_library_module_is_resolved_when_it_is_there(target: Target) -> None:
    """null_blk calls a new function of configfs, which calls one that configfs had."""
    artifact = suture.build([CASES / "lib-module-new-fn.patch"], target)
    script = (CASES / "lib-module-new-fn.check.sh").read_bytes()
    report = suture.try_out(artifact, target, script=script)
    assert report.passed, report.failure or report.complaints
    before, patched, after = (run.output for run in report.scripts)
    assert patched == "suture: is_root is 2\n"
    assert before == after
    assert "memory_backed" in before


def test_the_interpreter_of_bpf_jumps_by_the_table_of_its_new_code(ibt_target: Target) -> None:
    """Its table of labels is the live patch's own; udhcpc has the kernel run socket filters."""
    artifact = suture.build([CASES / "bpf-interp.patch"], ibt_target)
    script = (CASES / "bpf-interp.check.sh").read_bytes()
    report = suture.try_out(artifact, ibt_target, script=script)
    assert report.passed, report.failure or report.complaints
    before, patched, after = (run.output for run in report.scripts)
    assert before == patched == after
    assert "broadcasting discover" in patched


def test_an_object_with_the_old_layout_is_read_wrongly_where_an_author_accepts_it(
    target: Target,
) -> None:
    """What `layout-changed` says is true: a device that was made before loading has no size."""
    accepted = Acceptance("layout-changed", "nullb_device", "to see what happens")
    choices = Choices(accepted=(accepted,))
    artifact = suture.build([CASES / "struct-middle.patch"], target, choices=choices)
    script = (CASES / "struct-middle.check.sh").read_bytes()
    report = suture.try_out(artifact, target, script=script)
    before, patched, after = (run.output for run in report.scripts)
    assert "size of 'old': 1234" in before
    assert "size of 'old': 1234" not in patched
    assert before == after


def test_the_fix_of_a_renamed_function_is_in_force(each_target: Target) -> None:
    """At boot, the kernel was given the address of the old one."""
    artifact = suture.build([CASES / "rename-fn-and-fix.patch"], each_target)
    script = (CASES / "rename-fn-and-fix.check.sh").read_bytes()
    report = suture.try_out(artifact, each_target, script=script)
    assert report.passed, report.failure or report.complaints
    before, patched, after = (run.output for run in report.scripts)
    assert patched == "/proc/version:1\n/proc/uptime:1\n"
    assert before == after == patched.replace("1", "0")


def test_a_work_item_runs_after_its_live_patch_is_out_of_force(target: Target) -> None:
    """It is queued for six seconds later; the script waits for it when the patch is reverted."""
    artifact = suture.build([CASES / "new-work.patch"], target)
    script = (CASES / "new-work.check.sh").read_bytes()
    report = suture.try_out(artifact, target, script=script)
    assert report.passed, report.failure or report.complaints
    assert [run.output for run in report.scripts] == ["0\n", "0\n", "1\n"]
    assert "unload" not in [step.name for step in report.steps]
