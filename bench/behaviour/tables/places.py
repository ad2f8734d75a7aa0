# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of the kernel that several inputs edit, and small edits of them."""

from __future__ import annotations

from bench.behaviour.parts import Edit

VERSION, UPTIME, LOADAVG, CMDLINE = (
    f"fs/proc/{name}.c" for name in ("version", "uptime", "loadavg", "cmdline")
)
SOFTIRQS, DEVICES, CONSOLES, MEMINFO = (
    f"fs/proc/{name}.c" for name in ("softirqs", "devices", "consoles", "meminfo")
)
BASE, TASK_MMU, FILESYSTEMS, SYS = (
    *("fs/proc/base.c", "fs/proc/task_mmu.c", "fs/filesystems.c", "kernel/sys.c"),
)
LOOP, NULL_BLK, DUMMY = (
    *("drivers/block/loop.c", "drivers/block/null_blk/main.c", "drivers/net/dummy.c"),
)
PKTGEN, AUDIT = "net/core/pktgen.c", "kernel/audit.c"
DIGSIG, DIGSIG_CALLER, DIGSIG_HEADER = (
    *("lib/digsig.c", "security/integrity/digsig.c", "include/linux/digsig.h"),
)
SHOW = "static int meminfo_proc_show("
REPORT = "\tarch_report_meminfo(m);\n"

NEW_VERSION = Edit(
    VERSION,
    "seq_printf(m, linux_proc_banner,",
    'seq_puts(m, "Sutured ");\n\tseq_printf(m, linux_proc_banner,',
)
NEW_UPTIME = Edit(UPTIME, '"%lu.%02lu %lu.%02lu\\n"', '"up %lu.%02lu %lu.%02lu\\n"')
NEW_LOADAVG = Edit(
    LOADAVG,
    '"%lu.%02lu %lu.%02lu %lu.%02lu %u/%d %d\\n"',
    '"load %lu.%02lu %lu.%02lu %lu.%02lu %u/%d %d\\n"',
)
NEW_TOTAL = Edit(MEMINFO, '"MemTotal:       "', '"SutTotal:       "')
NEW_END = Edit(MEMINFO, REPORT, f'{REPORT}\tseq_puts(m, "Suture\\n");\n')
NEW_LIMIT = Edit(
    LOOP,
    "\tlo->lo_sizelimit = info->lo_sizelimit;",
    "\tlo->lo_sizelimit = info->lo_sizelimit + 1;",
)
NEW_TABLE = Edit(TASK_MMU, '[ilog2(VM_READ)]\t= "rd"', '[ilog2(VM_READ)]\t= "RD"')
NO_CARRIER = Edit(DUMMY, "\t.ndo_change_carrier\t= dummy_change_carrier,\n", "")
NO_VALIDATE = Edit(DUMMY, "\t.validate\t= dummy_validate,\n", "")
NEW_THREAD = Edit(PKTGEN, 'pr_debug("starting pktgen/', 'pr_info("starting pktgen/')
AUDIT_THREAD = Edit(
    AUDIT,
    "\twhile (!kthread_should_stop()) {\n\t\t/* NOTE: see the lock",
    '\tpr_info("sutured");\n\twhile (!kthread_should_stop()) {\n\t\t/* NOTE: see the lock',
)
UNAME = (
    "\tmemcpy(&tmp, utsname(), sizeof(tmp));\n\tup_read(&uts_sem);\n"
    "{}"
    "\tif (copy_to_user(name, &tmp, sizeof(tmp)))\n\t\treturn -EFAULT;\n\n"
    "\tif (override_release(name->release, sizeof(name->release)))\n\t\treturn -EFAULT;\n"
    "\tif (override_architecture(name))\n\t\treturn -EFAULT;\n\treturn 0;\n}}\n\n"
    "#ifdef __ARCH_WANT_SYS_OLD_UNAME"
)
NEW_UNAME = Edit(SYS, UNAME.format(""), UNAME.format("\ttmp.sysname[0] = 'S';\n"))
NEW_UMASK = Edit(
    SYS,
    "SYSCALL_DEFINE1(umask, int, mask)\n{\n",
    "SYSCALL_DEFINE1(umask, int, mask)\n{\n\tmask |= 07;\n",
)
