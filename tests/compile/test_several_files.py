# SPDX-License-Identifier: GPL-2.0-or-later
"""One live patch from changes to several files that use each other's functions."""

from __future__ import annotations

from pathlib import Path

from suture.builder import build
from suture.kernel import kallsyms
from suture.kernel.release import Target
from suture.model import VMLINUX
from suture.workspace.prepare import Workspace
from tests.patches import Edit, diff
from tests.unit.toolchain import tool

CMDLINE, VERSION = "fs/proc/cmdline.c", "fs/proc/version.c"


def test_a_static_function_that_the_patch_shares_is_reached_where_it_is(
    each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    """It stays what it is; only its own file, which is compiled again, can say which symbol of that
    name it is."""
    show = "static int version_proc_show(struct seq_file *m, void *v)\n{\n"
    patch = tmp_path / "share.patch"
    patch.write_text(
        diff(
            each_workspace.tree,
            Edit(CMDLINE, "static int cmdline_proc_show(", "int cmdline_proc_show("),
            Edit(
                VERSION,
                show,
                f"int cmdline_proc_show(struct seq_file *, void *);\n{show}\tcmdline_proc_show(m, v);\n",
            ),
        )
    )
    built = build([patch], each_target, output=tmp_path / "share.ko")
    assert [f.old_name for o in built.patch.objects for f in o.functions] == ["version_proc_show"]
    namesakes = kallsyms.read(each_target.kallsyms).named("cmdline_proc_show")
    assert len(namesakes) == 1
    assert f".klp.sym.{VMLINUX}.cmdline_proc_show,0" in tool("nm", built.path)
