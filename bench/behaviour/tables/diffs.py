# SPDX-License-Identifier: GPL-2.0-or-later
"""Source diffs that become live patches: what they change, and the options of ``suture build``."""

from __future__ import annotations

from bench.behaviour.model import Input
from bench.behaviour.parts import Edit, Part, diff, given
from bench.behaviour.tables.places import (
    AUDIT_THREAD,
    BASE,
    CMDLINE,
    DIGSIG,
    MEMINFO,
    NEW_END,
    NEW_LIMIT,
    NEW_LOADAVG,
    NEW_TABLE,
    NEW_THREAD,
    NEW_TOTAL,
    NEW_UMASK,
    NEW_UNAME,
    NEW_UPTIME,
    NEW_VERSION,
    NO_CARRIER,
    NO_VALIDATE,
    SHOW,
    VERSION,
)
from bench.behaviour.tables.steps import BUILD_AND_INSPECT, BUILD_PATCH, PATCH, build

SIX_1, SIX_12 = ("6.1",), ("6.12",)
SI = "\tsi_meminfo(&i);\n"

PER_CPU = (
    Edit(MEMINFO, SHOW, f"{given('diffs/per_cpu.c')}\n{SHOW}"),
    Edit(MEMINFO, SI, f"{given('diffs/per_cpu_use.c')}{SI}"),
    Edit(
        MEMINFO,
        "#include <linux/fs.h>\n",
        "#include <linux/fs.h>\n#include <linux/moduleparam.h>\n",
    ),
    Edit(MEMINFO, 'proc_create_single("meminfo", 0,', 'proc_create_single("meminfo", 0400,'),
)
STATIC_KEY = (
    Edit(
        MEMINFO,
        SI,
        "\tseq_puts(m, static_branch_likely(&vm_numa_stat_key) ? "
        f'"Counted: yes\\n" : "Counted: no\\n");\n{SI}',
    ),
    Edit(
        BASE,
        "\ttrace_oom_score_adj_update(task);\n",
        '\tpr_info("patched: %d\\n", oom_adj);\n\ttrace_oom_score_adj_update(task);\n',
    ),
)
MODULE_TRACEPOINT = Edit(
    "net/mac80211/driver-ops.c",
    "\ttrace_drv_start(local);\n",
    '\tpr_info("patched: starting\\n");\n\ttrace_drv_start(local);\n',
)
COMM_WRITE = "static ssize_t comm_write(struct file *file, const char __user *buf,"
TABLES = (
    Edit(BASE, COMM_WRITE, f"{given('diffs/helpers.c')}\n{COMM_WRITE}"),
    Edit(
        BASE,
        "\treturn single_open(filp, comm_show, inode);",
        "\tif (filp->f_flags & O_APPEND)\n\t\treturn suture_wait(filp);\n"
        "\treturn single_open(filp, comm_show, inode);",
    ),
    Edit(
        BASE,
        "\tif (same_thread_group(current, p)) {\n\t\tset_task_comm(p, buffer);",
        f"{given('diffs/traps.c')}"
        "\tif (same_thread_group(current, p)) {\n\t\tset_task_comm(p, buffer);",
    ),
    Edit(
        "kernel/sched/core.c",
        "int state = static_branch_likely(&sched_schedstats);",
        "int state = static_branch_likely(&sched_schedstats) ? 41 : 40;",
    ),
)
"""Bug and exception tables, static branches, cold parts, and new functions that are jumped to."""

BALLOC = "fs/udf/balloc.c"
INLINED = {
    "6.1": Edit(
        BALLOC,
        "\tif (!bitmap->s_block_bitmap[slot])\n\t\treturn -EIO;\n",
        "\tif (!bitmap->s_block_bitmap[slot])\n\t\treturn -EFSCORRUPTED;\n",
    ),
    "6.12": Edit(
        BALLOC,
        "\t\t\treturn PTR_ERR(bitmap->s_block_bitmap[block_group]);\n",
        "\t\t\treturn -EIO;\n",
    ),
}
"""load_block_bitmap() is inlined, also into functions that have no fentry call."""

OTHER_WORDS = Edit(
    "lib/kobject_uevent.c", '"unknown uevent action string"', '"sutured uevent action string"'
)
"""lib/Makefile takes the fentry calls out of this file."""

LSEEK = Edit(
    "fs/proc/internal.h",
    "return pde->flags & PROC_ENTRY_proc_lseek;",
    "return pde->flags & PROC_ENTRY_proc_lseek & 0;",
)
NEW_HEADER = b'--- /dev/null\n+++ b/fs/proc/suture.h\n@@ -0,0 +1 @@\n+#define SUTURED "Sutured "\n'
WITH_NEW_HEADER = diff(
    Edit(VERSION, '#include "internal.h"\n', '#include "internal.h"\n#include "suture.h"\n'),
    Edit(VERSION, "seq_printf(m, linux", "seq_puts(m, SUTURED);\n\tseq_printf(m, linux"),
).then(lambda patch: NEW_HEADER + patch)
VERSION_SHOW = "static int version_proc_show(struct seq_file *m, void *v)\n{\n"
SHARED_STATIC = (
    Edit(CMDLINE, "static int cmdline_proc_show(", "int cmdline_proc_show("),
    Edit(
        VERSION,
        VERSION_SHOW,
        f"int cmdline_proc_show(struct seq_file *, void *);\n{VERSION_SHOW}"
        "\tcmdline_proc_show(m, v);\n",
    ),
)
STATIC_LOCALS = (
    Edit(
        BASE,
        "\tmutex_lock(&oom_adj_mutex);\n\tif (legacy) {\n",
        '\tpr_info_once("suture: once\\n");\n\tmutex_lock(&oom_adj_mutex);\n\tif (legacy) {\n',
    ),
    Edit(
        BASE,
        "\tif (legacy) {\n\t\tif (oom_adj < task->signal->oom_score_adj &&\n",
        "\tif (legacy) {\n\t\tstatic int times = 3;\n\n\t\tif (times++ > oom_adj)\n\t\t\terr = 0;\n"
        "\t\tif (oom_adj < task->signal->oom_score_adj &&\n",
    ),
)
"""__set_oom_adj() has a static variable of its own, of pr_warn_once(), and gets two more."""

NEW_DATA = (
    Edit(VERSION, VERSION_SHOW, f"{given('diffs/new_data.c')}\n{VERSION_SHOW}"),
    Edit(
        VERSION,
        "\tseq_printf(m, linux",
        "\tseq_puts(m, suture_word(m->index));\n\tseq_printf(m, linux",
    ),
)
PROTOTYPE = (
    Edit(
        MEMINFO,
        "static void show_val_kb(struct seq_file *m, const char *s, unsigned long num)",
        "static noinline void show_val_kb(struct seq_file *m, int more, const char *s, "
        "unsigned long num)",
    ),
    Edit(MEMINFO, SHOW, f"#define show_val_kb(m, s, num) show_val_kb(m, 1, s, num)\n{SHOW}"),
    Edit(
        MEMINFO,
        "\tseq_put_decimal_ull_width(m, s, num <<",
        "\tseq_put_decimal_ull_width(m, s, more + num <<",
    ),
)
LINES_MOVE = Edit(
    "kernel/workqueue.c", "#include <linux/export.h>\n", "#include <linux/export.h>\n\n\n"
)
MAX_ACTIVE = Edit(
    "kernel/workqueue.c",
    'return scnprintf(buf, PAGE_SIZE, "%d\\n", wq->saved_max_active);',
    'WARN_ON(!buf);\n\n\treturn scnprintf(buf, PAGE_SIZE, "%d \\n", wq->saved_max_active);',
)
NLINK = Edit(
    "fs/inode.c",
    "\t\tWARN_ON(!(inode->i_state & I_LINKABLE));\n\t\tatomic_long_dec",
    "\t\tWARN_ON_ONCE(!(inode->i_state & I_LINKABLE));\n\t\tatomic_long_dec",
)
FIN = Edit(
    "net/ipv4/tcp_input.c",
    "\tinet_csk_schedule_ack(sk);\n\n\tWRITE_ONCE(sk->sk_shutdown",
    '\tif (net_ratelimit())\n\t\tpr_info("suture: fin\\n");\n\tinet_csk_schedule_ack(sk);\n\n'
    "\tWRITE_ONCE(sk->sk_shutdown",
)
SET_OWNER = "\t\t__f_setown(file, task_pid(current), PIDTYPE_TGID, 0);\n"
TUN = Edit("drivers/net/tun.c", SET_OWNER, f'\t\tpr_debug("suture: %d\\n", fd);\n{SET_OWNER}')
KVM = Edit(
    "virt/kvm/kvm_main.c",
    "\t\tr = KVM_API_VERSION;\n",
    '\t\tpr_info_once("suture: asked\\n");\n\t\tr = KVM_API_VERSION;\n',
)
XFS = Edit(
    "fs/xfs/libxfs/xfs_alloc.c",
    "\t\treturn xfs_refc_block(mp) + 1;\n",
    "\t\treturn xfs_refc_block(mp) + 2;\n",
)
CPUINFO = Edit("arch/x86/kernel/cpu/proc.c", '"model name\\t: %s\\n",', '"model name \\t: %s\\n",')
CRYPTO = Edit("crypto/proc.c", '"driver       : %s\\n"', '"Driver       : %s\\n"')
RT = Edit(
    "kernel/sched/rt.c",
    "\tif (task->policy == SCHED_RR)\n\t\treturn sched_rr_timeslice;\n",
    "\tif (task->policy == SCHED_RR)\n\t\treturn sched_rr_timeslice + 1;\n",
)
DIGSIG_BODY = Edit(
    DIGSIG,
    "\tint err = -ENOMEM;\n\tstruct signature_hdr",
    "\tint err = siglen ? -ENOMEM : -EINVAL;\n\tstruct signature_hdr",
)
LATIN = diff(
    Edit(MEMINFO, '"MemTotal:       "', '"M\N{LATIN SMALL LETTER E WITH ACUTE}mTotal: "')
).then(lambda patch: patch.decode().encode("latin-1"))
MAIL = diff(NEW_VERSION).then(
    lambda patch: (
        b"From: A <a@example.org>\nSubject: [PATCH] version\n\nWords.\n---\n"
        b" fs/proc/version.c | 1 +\n\n" + patch + b"-- \n2.39.2\n\n"
    )
)
DEEP = diff(NEW_TOTAL).then(
    lambda patch: patch.replace(b"--- a/", b"--- x/a/").replace(b"+++ b/", b"+++ y/b/")
)
WORDS_PATCH = diff(OTHER_WORDS)


def _plain(name: str, *edits: Edit, series: tuple[str, ...] = (*SIX_1, *SIX_12)) -> Input:
    return Input(f"diff/{name}", BUILD_PATCH, {PATCH: diff(*edits)}, series=series)


def _with(name: str, patch: Part, *words: str, series: tuple[str, ...] = SIX_1) -> Input:
    return Input(f"options/{name}", (build(PATCH, *words),), {PATCH: patch}, series=series)


def _inspected(name: str, *edits: Edit, series: tuple[str, ...] = (*SIX_1, *SIX_12)) -> Input:
    return Input(f"diff/{name}", BUILD_AND_INSPECT, {PATCH: diff(*edits)}, series=series)


PLAIN = (
    _inspected("version", NEW_VERSION),
    _plain("string", NEW_TOTAL, series=SIX_12),
    _plain("two-functions-of-two-files", NEW_UPTIME, NEW_LOADAVG, series=SIX_1),
    _inspected("module", NEW_LIMIT),
    _plain("module-and-core-kernel", NEW_LIMIT, NEW_TOTAL, series=SIX_12),
    _inspected("per-CPU-data-and-parts-left-out", *PER_CPU),
    _plain("static-key-and-tracepoint", *STATIC_KEY),
    _plain("tracepoint-of-a-module", MODULE_TRACEPOINT),
    _inspected("traps-and-branches", *TABLES),
    *(_inspected("inlined-into-callers", edit, series=(one,)) for one, edit in INLINED.items()),
    _plain("callers-in-other-files", OTHER_WORDS, series=SIX_1),
    _plain("inline-function-of-a-header", LSEEK),
    Input("diff/new-header", BUILD_PATCH, {PATCH: WITH_NEW_HEADER}, series=SIX_12),
    _plain("static-function-shared", *SHARED_STATIC),
    _plain("static-locals", *STATIC_LOCALS),
    _plain("new-data", *NEW_DATA),
    _plain("prototype-of-a-static-function", *PROTOTYPE),
    _plain("system-calls", NEW_UMASK, NEW_UNAME),
    _plain("line-numbers-move", LINES_MOVE, MAX_ACTIVE),
    _plain("exported-function", NLINK),
    _plain("exported-function-of-a-library", DIGSIG_BODY, series=SIX_1),
    _plain("network", FIN),
    _plain("module-tun", TUN, series=SIX_1),
    _plain("module-kvm", KVM, series=SIX_12),
    _plain("module-xfs", XFS),
    _plain("architecture", CPUINFO, series=SIX_12),
    _plain("cryptography", CRYPTO, series=SIX_1),
    _plain("included-C-file", RT),
    Input("diff/text-that-is-not-UTF-8", BUILD_PATCH, {PATCH: LATIN}, series=SIX_1),
    Input("diff/mail", BUILD_PATCH, {PATCH: MAIL}, series=SIX_12),
)

DECIDED = ("--patch-data", "dummy_netdev_ops", "--keep-data", "mnemonics")
LIMITS = ("--replace-thread", "kauditd_thread", "--caller-depth", "0", "--caller-limit", "1")
ALL_DECISIONS = diff(NEW_VERSION, NEW_TABLE, NO_CARRIER, AUDIT_THREAD)

OPTIONS = (
    _with("no-replace", diff(NEW_VERSION), "--no-replace"),
    _with("replace", diff(NEW_VERSION), "--replace", series=SIX_12),
    _with("name", diff(NEW_VERSION), "--name", "another_name", series=SIX_12),
    _with("format", diff(NEW_VERSION), "--format", "kpatch"),
    _with("strip-level", DEEP, "--strip-level", "2"),
    _with("output", diff(NEW_VERSION), "-o", "deep/down/out.ko", series=SIX_12),
    _with("caller-depth", WORDS_PATCH, "--caller-depth", "1"),
    _with("caller-limit", WORDS_PATCH, "--caller-limit", "4"),
    _with(
        "patch-data-table", diff(NEW_TABLE), "--patch-data", "mnemonics", series=(*SIX_1, *SIX_12)
    ),
    _with(
        "patch-data-operations", diff(NO_CARRIER), "--patch-data", "dummy_netdev_ops", series=SIX_12
    ),
    _with(
        "patch-data-member",
        diff(NO_VALIDATE),
        "--patch-data",
        "dummy_link_ops",
        series=(*SIX_1, *SIX_12),
    ),
    _with("keep-data", diff(NEW_VERSION, NEW_TABLE), "--keep-data", "mnemonics", series=SIX_12),
    _with("replace-thread", diff(NEW_THREAD), "--replace-thread", "pktgen_thread_worker"),
    _with("all-decisions", ALL_DECISIONS, *DECIDED, *LIMITS, series=(*SIX_1, *SIX_12)),
    Input(
        "options/two-kernels",
        (("build", PATCH, "--kernel", "{release}", "--kernel", "{other}", "-o", "out"),),
        {PATCH: diff(NEW_VERSION)},
        series=SIX_1,
    ),
    Input(
        "options/patches-one-after-the-other",
        (build("one.patch", "two.patch", "--name", "both"),),
        {"one.patch": diff(NEW_TOTAL), "two.patch": diff(NEW_END)},
    ),
)

ALL = (*PLAIN, *OPTIONS)
