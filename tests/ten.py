# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches of all kinds that can be made for the source of any kernel since 6.1.

Each changes what a program sees, so that a booted kernel shows whether the new code runs.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.patches import Edit, diff

VERSION, UPTIME, LOADAVG = "fs/proc/version.c", "fs/proc/uptime.c", "fs/proc/loadavg.c"

BANNER = "\tseq_printf(m, linux_proc_banner,"
UPTIME_SHOW = "static int uptime_proc_show(struct seq_file *m, void *v)\n{\n"
UPTIME_LINE = '\tseq_printf(m, "%lu.%02lu %lu.%02lu\\n",\n'
LOADAVG_SHOW = "static int loadavg_proc_show(struct seq_file *m, void *v)\n{\n"
AVERAGES = "\tget_avenrun(avnrun, FIXED_1/200, 0);\n"

EXPORTED = """\
const char *suture_word(void);
const char *suture_word(void)
{
	return "sutured";
}
EXPORT_SYMBOL_GPL(suture_word);
"""

BRANCHES = """\
	cond_resched();
	if (static_branch_unlikely(&sched_schedstats))
		seq_puts(m, "counting ");
	if (cpu_feature_enabled(X86_FEATURE_XMM3))
		seq_puts(m, "vectors ");
"""
"""A static call (where the kernel has it there), a static key of the kernel, and an alternative."""

WARNINGS = """\
	BUG_ON(!m);
	pr_info("suture: printed %s\\n", "here");
	WARN_ONCE(m->count == 0, "suture: warned of %d and %s\\n", 7, "eight");
	WARN_ON_ONCE(m->size == 1);
"""

FILLDIR = "\t\t     loff_t offset, u64 ino, unsigned int d_type)\n{\n\tstruct linux_dirent64 __user *dirent, *prev;\n"
SHOWN = """\
	const char *shown __maybe_unused = name =
		namlen == 6 && !memcmp(name, "hidden", 6) ? "suture" : name;
"""
"""In a function that compares with ``USER_PTR_MAX``, which kernels since 6.11 write into it at
boot, and that has alternatives and exception tables."""

DISK_FILE = "/lab/ext4.img"
MOUNT = f"mkdir -p /mnt && modprobe loop && modprobe ext4 && mount -t ext4 -o loop {DISK_FILE} /mnt"
"""Mounts an ext4 for the patch to that module."""


def make_disk(path: Path) -> None:
    """Write a small ext4 file system."""
    command = ["/sbin/mke2fs", "-q", "-t", "ext4", str(path), "4M"]
    subprocess.run(command, check=True)


@dataclass(frozen=True, slots=True)
class SeenPatch:
    """A patch, and what shows that it is in force.

    :ivar edits: of the source, one patch file.
    :ivar command: for the guest's shell.
    :ivar before: what the command prints without the patch; `after`: with it.
    :ivar afterwards: what it prints once the patch is out of force, if not as before.
    :ivar data: the variables that change in memory.
    :ivar replaced: the functions that the live patch replaces.
    """

    name: str
    edits: tuple[Edit, ...]
    command: str
    before: str
    after: str
    replaced: tuple[str, ...]
    data: frozenset[str] = field(default_factory=frozenset)
    afterwards: str = ""

    def write(self, tree: Path, directory: Path) -> Path:
        """Write the patch file for the source in `tree`."""
        path = directory / f"{self.name}.patch"
        path.write_text(diff(tree, *self.edits))
        return path


SEEN = (
    SeenPatch(
        "static_function",
        (Edit(VERSION, BANNER, f'\tseq_puts(m, "Sutured ");\n{BANNER}'),),
        "cut -d' ' -f1 /proc/version",
        "Linux",
        "Sutured",
        ("version_proc_show",),
    ),
    SeenPatch(
        "inlined_function",
        (Edit("fs/proc/array.c", '"NoNewPrivs:\\t"', '"SomePrivs:\\t"'),),
        "grep -o '[a-zA-Z]*Privs' /proc/self/status",
        "NoNewPrivs",
        "SomePrivs",
        ("proc_pid_status",),
    ),
    SeenPatch(
        "module_function",
        (
            Edit(
                "fs/ext4/super.c",
                '\tseq_puts(seq, sb_rdonly(sb) ? "ro" : "rw");',
                '\tseq_puts(seq, "sutured");',
            ),
        ),
        "head -n 1 /proc/fs/ext4/loop*/options",
        "rw",
        "sutured",
        ("ext4_seq_options_show",),
    ),
    SeenPatch(
        "changed_data",
        (Edit("fs/proc/task_mmu.c", '[ilog2(VM_READ)]\t= "rd"', '[ilog2(VM_READ)]\t= "RD"'),),
        "grep -m 1 VmFlags /proc/self/smaps | cut -d' ' -f2",
        "rd",
        "RD",
        (),
        frozenset({"mnemonics"}),
    ),
    SeenPatch(
        "new_export",
        (
            Edit(VERSION, "static int __init", f"{EXPORTED}\nstatic int __init"),
            Edit(
                VERSION,
                "#include <linux/fs.h>\n",
                "#include <linux/export.h>\n#include <linux/fs.h>\n",
            ),
            Edit(UPTIME, UPTIME_SHOW, f"const char *suture_word(void);\n\n{UPTIME_SHOW}"),
            Edit(UPTIME, UPTIME_LINE, f'\tseq_printf(m, "%s ", suture_word());\n{UPTIME_LINE}'),
        ),
        "grep -o sutured /proc/uptime || echo no",
        "no",
        "sutured",
        ("uptime_proc_show",),
    ),
    SeenPatch(
        "branches",
        (
            Edit(
                LOADAVG,
                LOADAVG_SHOW,
                f"extern struct static_key_false sched_schedstats;\n\n{LOADAVG_SHOW}",
            ),
            Edit(LOADAVG, AVERAGES, f"{AVERAGES}{BRANCHES}"),
            Edit(
                LOADAVG,
                "#include <linux/fs.h>\n",
                "#include <linux/fs.h>\n#include <linux/jump_label.h>\n#include <asm/cpufeature.h>\n",
            ),
        ),
        "for on in 0 1 0; do echo $on >/proc/sys/kernel/sched_schedstats; "
        "cut -d. -f1 /proc/loadavg | tr '\\n' ' '; done",
        "0 0 0",
        "vectors 0 counting vectors 0 vectors 0",
        ("loadavg_proc_show",),
    ),
    SeenPatch(
        "per_cpu_data",
        (
            Edit(
                "fs/dcache.c",
                "\t\tsum += per_cpu(nr_dentry, i);\n\treturn sum < 0 ? 0 : sum;",
                "\t\tsum += per_cpu(nr_dentry, i);\n\treturn sum <= 0 ? sum : 77;",
            ),
        ),
        "cut -f1 /proc/sys/fs/dentry-state | sed 's/^77$/all/; s/^[0-9]*$/many/'",
        "many",
        "all",
        ("proc_nr_dentry",),
    ),
    SeenPatch(
        "boot_constant",
        (Edit("fs/readdir.c", FILLDIR, f"{FILLDIR}{SHOWN}"),),
        "mkdir -p /names && touch /names/hidden /names/other && echo /names/*",
        "/names/hidden /names/other",
        "/names/other /names/suture",
        ("filldir64",),
    ),
    SeenPatch(
        "warnings",
        (Edit(VERSION, BANNER, f"{WARNINGS}{BANNER}"),),
        "cat /proc/version >/dev/null; dmesg | grep -o 'suture: .*' | sort -u | tr '\\n' ' '",
        "",
        "suture: printed here suture: warned of 7 and eight",
        ("version_proc_show",),
        afterwards="suture: printed here suture: warned of 7 and eight",
    ),
)
"""Those that a kernel takes."""

NOTRACE = (
    Edit("kernel/trace/trace_clock.c", "\tclock = sched_clock();", "\tclock = sched_clock() + 1;"),
)
"""A function that ftrace cannot redirect, and that is called by its address."""

AUTHOR_MODULE = Path("samples/livepatch/livepatch-sample.c")
"""The kernel's own sample, which replaces ``cmdline_proc_show()``."""
