# SPDX-License-Identifier: GPL-2.0-or-later
"""Source diffs with Ksplice's hooks and shadow fields, in a booted kernel of each series."""

from __future__ import annotations

import re

import pytest

from tests.lab.conftest import MakeEach
from tests.lab.guest import Guest
from tests.patches import NEW_UNAME, Edit, appended

pytestmark = pytest.mark.make_test_takes("6.1")

VERSION, UPTIME, LOADAVG, CMDLINE = (
    f"fs/proc/{name}.c" for name in ("version", "uptime", "loadavg", "cmdline")
)
SOFTIRQS, DEVICES, CONSOLES, FILESYSTEMS = (
    *("fs/proc/softirqs.c", "fs/proc/devices.c", "fs/proc/consoles.c", "fs/filesystems.c"),
)
SYS, NULL_BLK = "kernel/sys.c", "drivers/block/null_blk/main.c"
HEADER = '#include "ksplice-patch.h"\n'


def telling(name: str, *stages: str, failing: str = "") -> str:
    """Hooks that write their stage to the kernel's log; `failing`: C for what those that may refuse
    return."""
    lines = [HEADER]
    for stage in stages:
        says = f'pr_info("ksplice: {name} {stage}\\n");'
        if stage.startswith(("pre_", "check_")):
            result = failing if stage == "check_apply" and failing else "0"
            lines.append(f"static int {name}_{stage}(void) {{ {says} return {result}; }}")
        else:
            lines.append(f"static void {name}_{stage}(void) {{ {says} }}")
        lines.append(f"ksplice_{stage}({name}_{stage});")
    return "\n".join(lines) + "\n"


ALL = (
    *("pre_apply", "check_apply", "apply", "post_apply", "fail_apply"),
    *("pre_reverse", "check_reverse", "reverse", "post_reverse", "fail_reverse"),
)

EVERY_HOOK = (
    Edit(
        VERSION,
        "seq_printf(m, linux_proc_banner,",
        'seq_puts(m, "Sutured ");\n\tseq_printf(m, linux_proc_banner,',
    ),
    appended(VERSION, telling("version", *ALL)),
)
TWO_FUNCTIONS = (
    Edit(
        LOADAVG,
        '"%lu.%02lu %lu.%02lu %lu.%02lu %u/%d %d\\n"',
        '"load %lu.%02lu %lu.%02lu %lu.%02lu %u/%d %d\\n"',
    ),
    Edit(UPTIME, '"%lu.%02lu %lu.%02lu\\n"', '"up %lu.%02lu %lu.%02lu\\n"'),
)
DATA_CHANGED_AND_PUT_BACK = (
    appended(
        UPTIME,
        HEADER
        + r"""
extern int panic_on_oops;
static int before;
static void uptime_apply(void) { before = panic_on_oops; panic_on_oops = 9; }
ksplice_apply(uptime_apply);
static void uptime_reverse(void) { panic_on_oops = before; }
ksplice_reverse(uptime_reverse);
""",
    ),
)
SHADOW_FIELD = (
    Edit(
        SOFTIRQS,
        '\tseq_puts(p, "                    ");\n',
        "\tint *shown = make_shown_shadow(&init_task, GFP_KERNEL);\n\n"
        '\tif (shown)\n\t\tseq_printf(p, "shown %d ", ++*shown);\n'
        '\tseq_puts(p, "                    ");\n',
    ),
    Edit(
        SOFTIRQS,
        "static int show_softirqs(",
        "#define FROM_FORTY(field) (*(field) = 40)\n"
        "DEFINE_SHADOW_FIELD(struct task_struct, int, GFP_KERNEL, shown, FROM_FORTY);\n\n"
        "static int show_softirqs(",
    ),
    Edit(SOFTIRQS, '#include "internal.h"\n', f'#include "internal.h"\n{HEADER}'),
)
SHADOW_FIELD_OF_ANOTHER_FILE = (
    Edit(
        CONSOLES,
        '\tseq_printf(m, "%s%d", con->name, con->index);\n',
        "\tint *shown = get_shown_shadow(&init_task);\n\n"
        '\tseq_printf(m, "(shown %d) ", shown ? *shown : 0);\n\tseq_printf(m, "%s%d", con->name, con->index);\n',
    ),
    Edit(
        CONSOLES,
        "static int show_console_dev(",
        f"#include <linux/sched/task.h>\n{HEADER}"
        "DECLARE_SHADOW_FIELD(struct task_struct, int, shown);\n\nstatic int show_console_dev(",
    ),
)
HINTS = (
    Edit(CMDLINE, "\tseq_puts(m, saved", '\tseq_puts(m, "sutured ");\n\tseq_puts(m, saved'),
    appended(
        CMDLINE,
        f"{HEADER}ksplice_assume_rodata(saved_command_line);\nksplice_match_data_early(jiffies);\n",
    ),
)
SYSTEM_CALLS = (
    Edit(
        SYS,
        "SYSCALL_DEFINE1(umask, int, mask)\n{\n",
        "SYSCALL_DEFINE1(umask, int, mask)\n{\n\tmask |= 07;\n",
    ),
    NEW_UNAME,
)
OF_A_MODULE = (
    Edit(NULL_BLK, '"badblocks,blocking,', '"sutured,badblocks,blocking,'),
    appended(
        NULL_BLK,
        HEADER
        + r"""
static void null_blk_apply(void) { g_hw_queue_depth = 77; }
ksplice_apply(null_blk_apply);
static void null_blk_reverse(void) { g_hw_queue_depth = 64; }
ksplice_reverse(null_blk_reverse);
"""
        + telling("null_blk", "post_apply", "post_reverse"),
        after="\nmodule_exit(null_exit);\n",
    ),
)
HOOKS_ALONE = (
    appended(
        FILESYSTEMS, telling("filesystems", "pre_apply", "post_reverse"), after="\nmodule_init("
    ),
)

MANY = (
    *(
        EVERY_HOOK,
        TWO_FUNCTIONS,
        DATA_CHANGED_AND_PUT_BACK,
        SHADOW_FIELD,
        SHADOW_FIELD_OF_ANOTHER_FILE,
        HINTS,
    ),
    *(SYSTEM_CALLS, OF_A_MODULE),
)

REFUSING = (
    *TWO_FUNCTIONS,
    appended(
        LOADAVG,
        telling("loadavg", "pre_apply", "check_apply", "apply", "fail_apply", "post_reverse"),
    ),
    appended(
        UPTIME,
        telling(
            *("uptime", "pre_apply", "check_apply", "apply", "fail_apply", "post_reverse"),
            failing="panic_timeout == 333 ? -EBUSY : 0",
        ),
    ),
)


def said(guest: Guest, since: int) -> list[str]:
    return re.findall(r"ksplice: (.*)$", guest.machine.kernel_log()[since:], re.MULTILINE)


def test_eight_patches_in_force_together_and_taken_out_again(
    make_each: MakeEach, each_guest: Guest
) -> None:
    built = make_each("ksplice_many", *MANY)
    guest = each_guest
    before = seen(guest)
    started = len(guest.machine.kernel_log())
    guest.load(built)
    assert said(guest, started) == [f"version {stage}" for stage in ALL[:4]]
    assert (
        guest.sh("cut -d' ' -f1 /proc/loadavg /proc/uptime /proc/version") == "load\nup\nSutured\n"
    )
    assert guest.sh("cat /proc/sys/kernel/panic_on_oops") == "9\n"
    assert [guest.sh("head -n 1 /proc/softirqs").split()[:2] for _ in range(2)] == [
        ["shown", "41"],
        ["shown", "42"],
    ]
    assert "(shown 42)" in guest.sh("head -n 1 /proc/consoles")
    assert guest.sh("cat /proc/cmdline").startswith("sutured ")
    assert guest.sh("uname -s; umask 0; umask") == "Sinux\n0007\n"
    guest.sh("modprobe null_blk nr_devices=0")
    assert guest.sh("cat /sys/module/null_blk/parameters/hw_queue_depth") == "77\n", (
        "the module came later"
    )
    guest.sh("rmmod null_blk")
    assert said(guest, started)[-2:] == ["null_blk post_apply", "null_blk post_reverse"]
    ended = len(guest.machine.kernel_log())
    guest.unload(built)
    assert said(guest, ended) == [f"version {stage}" for stage in ALL[5:9]]
    assert seen(guest) == before
    guest.load(built)
    assert guest.sh("head -n 1 /proc/softirqs").split()[:2] == ["shown", "41"], (
        "the fields were freed"
    )
    guest.unload(built)


def seen(guest: Guest) -> str:
    calls = "uname -s; umask 0; umask"
    shown = (
        "head -n 1 /proc/softirqs; cat /proc/cmdline /proc/consoles /proc/sys/kernel/panic_on_oops"
    )
    return guest.sh(f"cut -c 1-3 /proc/version; {calls}; {shown}")


def test_what_is_done_for_the_patch_is_told(make_each: MakeEach) -> None:
    built = make_each("ksplice_many", *MANY)
    left_out = {(part.source, part.what) for part in built.left_out}
    assert {
        (VERSION, "version_fail_reverse() in .ksplice_call_fail_reverse"),
        (CMDLINE, "a hint in .ksplice_options"),
    } <= left_out
    stopped = {one.function for one in built.calls if one.stage.was_stopped}
    assert {"uptime_apply", "uptime_reverse", "version_check_apply"} <= stopped
    (field,) = built.patch.shadow_variables
    assert field.id, "two files, one field, known by a number that stands in the code"


def test_where_a_check_refuses_nothing_is_applied(make_each: MakeEach, each_guest: Guest) -> None:
    built = make_each("ksplice_refusing", REFUSING)
    guest = each_guest
    guest.machine.put("/tmp/refusing.ko", built.path.read_bytes())
    guest.sh("echo 333 >/proc/sys/kernel/panic")
    started = len(guest.machine.kernel_log())
    assert guest.machine.run("insmod /tmp/refusing.ko").status != 0
    expected = [
        f"{name} {stage}"
        for stage in ("pre_apply", "check_apply", "fail_apply")
        for name in ("loadavg", "uptime")
    ]
    assert said(guest, started) == 2 * expected, "busybox tries finit_module(), then init_module()"
    assert (
        guest.sh("ls /sys/kernel/livepatch; cut -d' ' -f1 /proc/uptime").startswith("up") is False
    )
    guest.sh("echo -1 >/proc/sys/kernel/panic")


def test_hooks_alone_are_a_live_patch(make_each: MakeEach, each_guest: Guest) -> None:
    built = make_each("ksplice_alone", HOOKS_ALONE)
    started = len(each_guest.machine.kernel_log())
    each_guest.load(built)
    each_guest.unload(built)
    assert said(each_guest, started) == ["filesystems pre_apply", "filesystems post_reverse"]
