# SPDX-License-Identifier: GPL-2.0-or-later
"""Source diffs with kpatch's macros: callbacks, hooks, shadow variables, system calls."""

from __future__ import annotations

from bench.behaviour.model import Input
from bench.behaviour.parts import Edit, appended, diff, given
from bench.behaviour.tables.places import (
    CMDLINE,
    DEVICES,
    FILESYSTEMS,
    LOADAVG,
    NEW_LOADAVG,
    NEW_TABLE,
    NEW_UNAME,
    NEW_UPTIME,
    NEW_VERSION,
    NULL_BLK,
    SOFTIRQS,
    SYS,
    UPTIME,
    VERSION,
)
from bench.behaviour.tables.steps import BUILD_AND_INSPECT, BUILD_PATCH, PATCH, build

MACROS = '#include "kpatch-macros.h"\n'
HEAD = '\tseq_puts(p, "                    ");\n'

CALLBACKS_ALONE = (
    appended(VERSION, given("kpatch/version.c")),
    Edit(VERSION, "#include <linux/fs.h>", "#include <linux/fs.h>\n#include <linux/panic.h>"),
)
CALLBACKS = (NEW_VERSION, *CALLBACKS_ALONE)
HOOKS = (NEW_LOADAVG, NEW_UPTIME, appended(UPTIME, given("kpatch/uptime.c")))
SHADOWS = (
    Edit(
        SOFTIRQS,
        HEAD,
        '\tint *shown = kpatch_shadow_get(&init_task, "shown");\n'
        "\tint *again = klp_shadow_get_or_alloc(&init_task, 77, sizeof(*again), GFP_KERNEL, "
        "NULL, NULL);\n\n"
        '\tif (shown && again)\n\t\tseq_printf(p, "shown %d %d ", ++*shown, ++*again);\n' + HEAD,
    ),
    Edit(SOFTIRQS, '#include "internal.h"\n', '#include "internal.h"\n#include "kpatch.h"\n'),
    appended(SOFTIRQS, given("kpatch/softirqs.c")),
)
SYSTEM_CALLS = (
    Edit(SYS, "SYSCALL_DEFINE1(newuname, struct", "KPATCH_SYSCALL_DEFINE1(newuname, struct"),
    NEW_UNAME,
    Edit(
        SYS,
        "SYSCALL_DEFINE1(umask, int, mask)\n{\n",
        "KPATCH_SYSCALL_DEFINE1(umask, int, mask)\n{\n\tmask |= 07;\n",
    ),
    Edit(
        SYS,
        "#include <linux/syscalls.h>\n",
        '#include <linux/syscalls.h>\n#include "kpatch-syscall.h"\n',
    ),
)
SAID_AND_CALLED = (
    Edit(
        CMDLINE,
        "\tseq_puts(m, saved_command_line);\n",
        '\tKPATCH_PRINTK("kpatch: %s\\n", __func__);\n\tKPATCH_STATIC_CALL(cond_resched)();\n'
        '\tseq_puts(m, "sutured ");\n\tseq_puts(m, saved_command_line);\n',
    ),
    Edit(CMDLINE, "#include <linux/fs.h>\n", f"#include <linux/fs.h>\n{MACROS}"),
    appended(CMDLINE, "KPATCH_FORCE_UNSAFE(cmdline_proc_show);\n"),
)
START = "static void *devinfo_start(struct seq_file *f, loff_t *pos)\n{\n"
IGNORED = (
    Edit(DEVICES, '"Character devices:\\n"', '"Sutured devices:\\n"'),
    Edit(DEVICES, START, f"{START}\tif (f)\n\t\treturn NULL;\n"),
    Edit(DEVICES, "\t.stop  = devinfo_stop,\n", "\t.stop  = NULL,\n"),
    Edit(DEVICES, "static void devinfo_stop(", "static void __maybe_unused devinfo_stop("),
    appended(
        DEVICES,
        f"{MACROS}KPATCH_IGNORE_FUNCTION(devinfo_start)\n"
        'KPATCH_IGNORE_SECTION(".rodata.devinfo_ops")\n',
    ),
)
LOCKED = "\tread_lock(&file_systems_lock);\n\ttmp = file_systems;\n\twhile (tmp) {\n\t\tseq_printf("
CONSTRUCTED = (
    Edit(
        FILESYSTEMS,
        LOCKED,
        "\tint *times = klp_shadow_get_or_alloc(&init_task, 78, sizeof(*times), GFP_KERNEL, "
        "from_six, NULL);\n\n"
        f'\tif (times)\n\t\tseq_printf(m, "shown %d\\n", ++*times);\n{LOCKED}',
    ),
    Edit(
        FILESYSTEMS,
        "static int filesystems_proc_show(",
        f"{given('kpatch/filesystems.c')}\nstatic int filesystems_proc_show(",
    ),
)
OF_A_MODULE = (
    Edit(NULL_BLK, '"badblocks,blocking,', '"sutured,badblocks,blocking,'),
    appended(NULL_BLK, given("kpatch/null_blk.c"), before="\nmodule_exit(null_exit);\n"),
)
REFUSING = (
    NEW_TABLE,
    NEW_UPTIME,
    appended(LOADAVG, given("kpatch/refusing.c").replace("NAME", "first")),
    appended(UPTIME, given("kpatch/refusing.c").replace("NAME", "second")),
)
"""The second callback may say no when data has been changed, and the first has agreed."""

GROUPS = {
    "callbacks": CALLBACKS,
    "hooks": HOOKS,
    "shadow-variables": SHADOWS,
    "system-calls": SYSTEM_CALLS,
    "printk-and-static-call": SAID_AND_CALLED,
    "ignored": IGNORED,
    "shadow-with-constructor": CONSTRUCTED,
    "module": OF_A_MODULE,
}
MANY = {f"{name}.patch": diff(*edits) for name, edits in GROUPS.items()}
INSPECTED = ("callbacks", "module")


def _input(name: str, edits: tuple[Edit, ...]) -> Input:
    steps = BUILD_AND_INSPECT if name in INSPECTED else BUILD_PATCH
    return Input(f"kpatch/{name}", steps, {PATCH: diff(*edits)})


ALL = (
    *(_input(name, edits) for name, edits in GROUPS.items()),
    Input("kpatch/callbacks-alone", BUILD_PATCH, {PATCH: diff(*CALLBACKS_ALONE)}),
    Input("kpatch/many", (build(*MANY, "--name", "many", "-o", "many.ko"),), MANY),
    Input(
        "kpatch/callbacks-and-data",
        (build(PATCH, "--patch-data", "mnemonics"),),
        {PATCH: diff(*REFUSING)},
    ),
)
