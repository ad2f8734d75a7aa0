# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels of other flavours than the plain one, such as rt, whose source has patches of its own."""

from __future__ import annotations

from pathlib import Path

from suture.builder import build
from suture.kernel.release import Target
from suture.lab.livepatch import TrialPlan, try_out
from suture.lab.scripts import GuestScript
from suture.workspace.prepare import Workspace
from tests.patches import Edit, diff

SHOW = "static int version_proc_show(struct seq_file *m, void *v)\n{\n"
LIMIT = "\tlo->lo_sizelimit = info->lo_sizelimit;"
EDITS = (
    Edit("fs/proc/version.c", SHOW, f'{SHOW}\tseq_puts(m, "patched ");\n'),
    Edit("drivers/block/loop.c", LIMIT, LIMIT.replace("info->lo_sizelimit", "1")),
)

SCRIPT = b"""\
read first rest </proc/version
case $phase in
patched) [ "$first" = patched ] ;;
*) [ "$first" = Linux ] ;;
esac
"""


def test_a_live_patch_of_another_flavour_is_built_and_seen_at_work(
    flavour_target: Target, flavour_workspace: Workspace, tmp_path: Path
) -> None:
    patch = tmp_path / "two.patch"
    patch.write_text(diff(flavour_workspace.tree, *EDITS))
    built = build([patch], flavour_target, directory=tmp_path)
    replaced = {one.name: [func.old_name for func in one.functions] for one in built.patch.objects}
    assert replaced["vmlinux"] == ["version_proc_show"]
    assert len(replaced["loop"]) >= 1
    assert built.findings == ()
    plan = TrialPlan((GuestScript("script", SCRIPT),))
    report = try_out(flavour_target, built.data, built.patch, plan)
    assert report.passed
    assert report.failure is None
    assert [run.status for run in report.scripts] == [0, 0, 0]
    (shown,) = [count.calls for count in report.counts if count.function == "version_proc_show"]
    assert shown is None or shown >= 1
