# SPDX-License-Identifier: GPL-2.0-or-later
"""A patch with parts that have run, a parameter that nothing can set, and new per-CPU memory, in a
booted kernel."""

from __future__ import annotations

import re
from pathlib import Path

from suture.builder import build
from suture.kernel.release import Target
from suture.lab.machine import Machine
from suture.workspace.prepare import Workspace
from tests.lab.guest import Guest
from tests.patches import Edit, diff

MEMINFO = "fs/proc/meminfo.c"

EDITS = (
    Edit(
        MEMINFO,
        "static int meminfo_proc_show(",
        "static DEFINE_PER_CPU(unsigned long, shown_here) = 3;\n"
        "static DEFINE_PER_CPU_READ_MOSTLY(unsigned long, start_here) = 1000;\n"
        "static DEFINE_PER_CPU_SHARED_ALIGNED(unsigned long, aligned_here) = 20;\n"
        "static unsigned long from_init __ro_after_init = 77;\n"
        "static int neu = 5;\nmodule_param(neu, int, 0644);\n\n"
        "static int meminfo_proc_show(",
    ),
    Edit(
        MEMINFO,
        "\tsi_meminfo(&i);\n",
        "\tget_cpu();\n"
        "\tthis_cpu_inc(shown_here);\n\tthis_cpu_add(aligned_here, 2);\n\tfrom_init++;\n"
        '\tpr_info("suture: cpu %d %lu %lu %lu init %lu param %d\\n", smp_processor_id(), this_cpu_read(shown_here),\n'
        "\t\tthis_cpu_read(start_here), this_cpu_read(aligned_here), from_init, neu);\n"
        "\tput_cpu();\n"
        "\tsi_meminfo(&i);\n",
    ),
    Edit(
        MEMINFO,
        "#include <linux/fs.h>\n",
        "#include <linux/fs.h>\n#include <linux/moduleparam.h>\n",
    ),
    Edit(MEMINFO, 'proc_create_single("meminfo", 0,', 'proc_create_single("meminfo", 0400,'),
)


def test_what_has_run_is_left_out_and_the_rest_works(
    each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    patch = tmp_path / "parts.patch"
    patch.write_text(diff(each_workspace.tree, *EDITS))
    built = build([patch], each_target, output=tmp_path / "parts.ko", name="parts")
    left = {part.what for part in built.left_out}
    assert "proc_meminfo_init() in .init.text" in left
    assert "the new parameter neu in __param" in left
    with Machine.boot(each_target) as machine:
        guest = Guest(machine)
        guest.load(built)
        for cpu in (0, 1, 1):
            guest.sh(f"taskset {1 << cpu} cat /proc/meminfo >/dev/null")
        said = re.findall(r"suture: (cpu .*)", machine.kernel_log())
        assert said == [
            "cpu 0 4 1000 22 init 78 param 5",
            "cpu 1 4 1000 22 init 79 param 5",
            "cpu 1 5 1000 24 init 80 param 5",
        ], "each CPU has its own, with the initial value"
        assert guest.sh("stat -c %a /proc/meminfo").strip() == "444", (
            "the init function did not run again"
        )
        guest.unload(built)
        assert machine.complaints() == ()
