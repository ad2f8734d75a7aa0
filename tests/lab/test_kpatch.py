# SPDX-License-Identifier: GPL-2.0-or-later
"""Source diffs with kpatch's macros, in a booted kernel of each series: every callback, and what it
changes."""

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
SOFTIRQS, DEVICES, TASK_MMU, SYS = (
    "fs/proc/softirqs.c",
    "fs/proc/devices.c",
    "fs/proc/task_mmu.c",
    "kernel/sys.c",
)
FILESYSTEMS, NULL_BLK = "fs/filesystems.c", "drivers/block/null_blk/main.c"
MACROS = '#include "kpatch-macros.h"\n'

DATA_CHANGED_AND_PUT_BACK = (
    Edit(
        VERSION,
        "seq_printf(m, linux_proc_banner,",
        'seq_puts(m, "Sutured ");\n\tseq_printf(m, linux_proc_banner,',
    ),
    appended(
        VERSION,
        MACROS
        + r"""
static int before;
static int version_pre(patch_object *obj)
{
	pr_info("kpatch: pre %s %d\n", obj->name ? obj->name : "core", panic_timeout);
	before = panic_timeout;
	panic_timeout = 42;
	return 0;
}
KPATCH_PRE_PATCH_CALLBACK(version_pre);
static void version_post(patch_object *obj) { pr_info("kpatch: post\n"); }
KPATCH_POST_PATCH_CALLBACK(version_post);
static void version_pre_un(patch_object *obj) { pr_info("kpatch: pre un\n"); }
KPATCH_PRE_UNPATCH_CALLBACK(version_pre_un);
static void version_post_un(patch_object *obj)
{
	pr_info("kpatch: post un\n");
	panic_timeout = before;
}
KPATCH_POST_UNPATCH_CALLBACK(version_post_un);
""",
    ),
    Edit(VERSION, "#include <linux/fs.h>", "#include <linux/fs.h>\n#include <linux/panic.h>"),
)

TWO_FUNCTIONS_AND_HOOKS = (
    Edit(
        LOADAVG,
        '"%lu.%02lu %lu.%02lu %lu.%02lu %u/%d %d\\n"',
        '"load %lu.%02lu %lu.%02lu %lu.%02lu %u/%d %d\\n"',
    ),
    Edit(UPTIME, '"%lu.%02lu %lu.%02lu\\n"', '"up %lu.%02lu %lu.%02lu\\n"'),
    appended(
        UPTIME,
        MACROS
        + r"""
extern int panic_on_oops;
static void on_load(void) { panic_on_oops = 5; }
KPATCH_LOAD_HOOK(on_load)
static void then(void) { panic_on_oops += 2; }
KPATCH_LOAD_HOOK(then)
static void on_unload(void) { panic_on_oops = 0; }
KPATCH_UNLOAD_HOOK(on_unload)
""",
    ),
)

SHADOW = (
    Edit(
        SOFTIRQS,
        '\tseq_puts(p, "                    ");\n',
        '\tint *shown = kpatch_shadow_get(&init_task, "shown");\n'
        "\tint *again = klp_shadow_get_or_alloc(&init_task, 77, sizeof(*again), GFP_KERNEL, NULL, NULL);\n\n"
        '\tif (shown && again)\n\t\tseq_printf(p, "shown %d %d ", ++*shown, ++*again);\n'
        '\tseq_puts(p, "                    ");\n',
    ),
    Edit(SOFTIRQS, '#include "internal.h"\n', '#include "internal.h"\n#include "kpatch.h"\n'),
    appended(
        SOFTIRQS,
        r"""
static int softirqs_pre(patch_object *obj)
{
	int *shown = kpatch_shadow_alloc(&init_task, "shown", sizeof(*shown), GFP_KERNEL);

	if (!shown)
		return -ENOMEM;
	*shown = 40;
	return 0;
}
KPATCH_PRE_PATCH_CALLBACK(softirqs_pre);
static void softirqs_post_un(patch_object *obj)
{
	pr_info("kpatch: shown %d\n", *(int *)kpatch_shadow_get(&init_task, "shown"));
	kpatch_shadow_free(&init_task, "shown");
	klp_shadow_free_all(77, NULL);
}
KPATCH_POST_UNPATCH_CALLBACK(softirqs_post_un);
""",
    ),
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

LOOKED_AWAY_FROM = (
    Edit(DEVICES, '"Character devices:\\n"', '"Sutured devices:\\n"'),
    Edit(
        DEVICES, "static void *devinfo_start(struct seq_file *f, loff_t *pos)\n{\n",
        "static void *devinfo_start(struct seq_file *f, loff_t *pos)\n{\n\tif (f)\n\t\treturn NULL;\n",
    ),
    Edit(DEVICES, "\t.stop  = devinfo_stop,\n", "\t.stop  = NULL,\n"),
    Edit(DEVICES, "static void devinfo_stop(", "static void __maybe_unused devinfo_stop("),
    appended(
        DEVICES,
        MACROS + 'KPATCH_IGNORE_FUNCTION(devinfo_start)\nKPATCH_IGNORE_SECTION(".rodata.devinfo_ops")\n',
    ),
)  # fmt: skip
"""What is looked away from would leave /proc/devices empty, and nothing to call at its end."""

MADE_AND_UNMADE = (
    Edit(
        FILESYSTEMS,
        "\tread_lock(&file_systems_lock);\n\ttmp = file_systems;\n\twhile (tmp) {\n\t\tseq_printf(",
        "\tint *times = klp_shadow_get_or_alloc(&init_task, 78, sizeof(*times), GFP_KERNEL, from_six, NULL);\n\n"
        '\tif (times)\n\t\tseq_printf(m, "shown %d\\n", ++*times);\n'
        "\tread_lock(&file_systems_lock);\n\ttmp = file_systems;\n\twhile (tmp) {\n\t\tseq_printf(",
    ),
    Edit(
        FILESYSTEMS,
        "static int filesystems_proc_show(",
        MACROS
        + r"""#include <linux/sched/task.h>
static int from_six(void *obj, void *shadow, void *data)
{
	*(int *)shadow = 6;
	return 0;
}
static void last_seen(void *obj, void *shadow) { pr_info("kpatch: last %d\n", *(int *)shadow); }
static void filesystems_post_un(patch_object *obj) { klp_shadow_free_all(78, last_seen); }
KPATCH_POST_UNPATCH_CALLBACK(filesystems_post_un);

static int filesystems_proc_show(""",
    ),
)
"""A shadow variable in livepatch's spelling, with functions that make it and that see it go."""

OF_A_MODULE = (
    Edit(NULL_BLK, '"badblocks,blocking,', '"sutured,badblocks,blocking,'),
    appended(
        NULL_BLK,
        MACROS
        + r"""
static int null_blk_pre(patch_object *obj)
{
	pr_info("kpatch: pre %s %d %d\n", obj->name, obj->mod->state, g_hw_queue_depth);
	g_hw_queue_depth = 77;
	return 0;
}
KPATCH_PRE_PATCH_CALLBACK(null_blk_pre);
static void null_blk_post_un(patch_object *obj)
{
	pr_info("kpatch: post un %s %d\n", obj->name, obj->mod->state);
	g_hw_queue_depth = 64;
}
KPATCH_POST_UNPATCH_CALLBACK(null_blk_post_un);
""",
        after="\nmodule_exit(null_exit);\n",
    ),
)

MANY = (
    *(
        DATA_CHANGED_AND_PUT_BACK,
        TWO_FUNCTIONS_AND_HOOKS,
        SHADOW,
        SYSTEM_CALLS,
        SAID_AND_CALLED,
        LOOKED_AWAY_FROM,
    ),
    *(MADE_AND_UNMADE, OF_A_MODULE),
)

REFUSING = (
    Edit(TASK_MMU, '[ilog2(VM_READ)]\t= "rd"', '[ilog2(VM_READ)]\t= "RD"'),
    Edit(UPTIME, '"%lu.%02lu %lu.%02lu\\n"', '"up %lu.%02lu %lu.%02lu\\n"'),
    *(
        appended(
            path,
            f"""{MACROS}
static int {name}_pre(patch_object *obj) {{ pr_info("kpatch: {name}\\n"); return panic_timeout == {refused}; }}
KPATCH_PRE_PATCH_CALLBACK({name}_pre);
static void {name}_post_un(patch_object *obj) {{ pr_info("kpatch: {name} undone\\n"); }}
KPATCH_POST_UNPATCH_CALLBACK({name}_post_un);
""",
        )
        for path, name, refused in ((LOADAVG, "first", 111), (UPTIME, "second", 222))
    ),
)
"""The second refuses after the first has agreed and data has been written."""

MNEMONIC = "grep -m 1 VmFlags /proc/self/smaps | cut -d' ' -f2"
PANIC = "cat /proc/sys/kernel/panic /proc/sys/kernel/panic_on_oops"
FEATURES = (
    "mkdir -p /tmp/c; mount -t configfs none /tmp/c 2>/dev/null; cut -d, -f1 /tmp/c/nullb/features"
)
DEPTH = "cat /sys/module/null_blk/parameters/hw_queue_depth"


def said(guest: Guest, since: int = 0) -> list[str]:
    """What callbacks wrote to the kernel's log."""
    return re.findall(r"kpatch: (.*)$", guest.machine.kernel_log()[since:], re.MULTILINE)


def test_eight_patches_in_force_together_and_taken_out_again(
    make_each: MakeEach, each_guest: Guest
) -> None:
    built = make_each("many", *MANY)
    before = seen(each_guest)
    devices = each_guest.sh("cat /proc/devices")
    started = len(each_guest.machine.kernel_log())
    each_guest.load(built)
    assert said(each_guest, started) == ["pre core -1", "post"]
    assert each_guest.sh(PANIC) == "42\n7\n"
    assert (
        each_guest.sh("cut -d' ' -f1 /proc/loadavg /proc/uptime /proc/version")
        == "load\nup\nSutured\n"
    )
    assert [each_guest.sh("head -n 1 /proc/softirqs").split()[:3] for _ in range(2)] == [
        ["shown", "41", "1"],
        ["shown", "42", "2"],
    ]
    assert [each_guest.sh("head -n 1 /proc/filesystems") for _ in range(2)] == [
        "shown 7\n",
        "shown 8\n",
    ]
    assert each_guest.sh("uname -s; umask 0; umask") == "Sinux\n0007\n"
    assert each_guest.sh("cat /proc/cmdline").startswith("sutured ")
    assert "cmdline_proc_show" in said(each_guest, started)
    assert each_guest.sh("cat /proc/devices") == devices.replace("Character", "Sutured")
    a_module_before_and_after(each_guest, started)
    ended = len(each_guest.machine.kernel_log())
    each_guest.unload(built)
    assert set(said(each_guest, ended)) == {"pre un", "post un", "shown 42", "last 8"}
    assert seen(each_guest) == before


def seen(guest: Guest) -> str:
    shown = (
        "head -n 1 /proc/softirqs /proc/filesystems",
        "uname -s",
        "umask 0; umask",
        "cat /proc/cmdline /proc/devices",
        PANIC,
    )
    return guest.sh("; ".join(("cut -c 1-3 /proc/version", *shown)))


def a_module_before_and_after(guest: Guest, started: int) -> None:
    """It comes after the live patch, and goes and comes once more; MODULE_STATE_COMING is 1, GOING
    is 2."""
    guest.sh("modprobe null_blk nr_devices=0")
    assert guest.sh(f"{FEATURES}; {DEPTH}") == "sutured\n77\n"
    guest.sh("rmmod null_blk")
    assert said(guest, started)[-2:] == ["pre null_blk 1 64", "post un null_blk 2"]
    if guest.machine.run("modprobe null_blk nr_devices=0").status == 0:
        assert guest.sh(f"{FEATURES}; {DEPTH}") == "sutured\n77\n"
        guest.sh("rmmod null_blk")


def test_what_is_done_for_the_patch_is_told(make_each: MakeEach) -> None:
    built = make_each("many", *MANY)
    left_out = {part.what for part in built.left_out}
    assert {
        "cmdline_proc_show() in .kpatch.force",
        "the changed function devinfo_start() in .text.devinfo_start",
        "the changed variable devinfo_ops in .rodata.devinfo_ops",
    } <= left_out
    called = {(one.objname, one.function) for one in built.calls}
    assert {
        ("vmlinux", "version_pre"),
        ("vmlinux", "on_load"),
        ("null_blk", "null_blk_post_un"),
    } <= called
    *livepatchs, kpatchs = built.patch.shadow_variables
    assert [one.id for one in livepatchs] == [77, 78]
    assert kpatchs.id, "a number made of its name"


def test_one_that_refuses_leaves_everything_as_it_was(
    make_each: MakeEach, each_guest: Guest
) -> None:
    built = make_each("refusing", REFUSING, data=frozenset({"mnemonics"}))
    each_guest.machine.put("/tmp/refusing.ko", built.path.read_bytes())
    for timeout, expected in ((222, ["first", "second", "first undone"]), (111, ["first"])):
        each_guest.sh(f"echo {timeout} >/proc/sys/kernel/panic")
        started = len(each_guest.machine.kernel_log())
        assert each_guest.machine.run("insmod /tmp/refusing.ko").status != 0
        assert said(each_guest, started) == 2 * expected, (
            "busybox tries finit_module(), then init_module()"
        )
        assert each_guest.sh(f"{MNEMONIC}; ls /sys/kernel/livepatch") == "rd\n"
    each_guest.sh("echo -1 >/proc/sys/kernel/panic")
    started = len(each_guest.machine.kernel_log())
    each_guest.load(built)
    assert each_guest.sh(f"{MNEMONIC}; cut -d' ' -f1 /proc/uptime") == "RD\nup\n"
    each_guest.unload(built)
    assert said(each_guest, started) == ["first", "second", "second undone", "first undone"]
    assert each_guest.sh(MNEMONIC) == "rd\n"


def test_callbacks_alone_are_a_live_patch(make_each: MakeEach, each_guest: Guest) -> None:
    alone = make_each("alone", DATA_CHANGED_AND_PUT_BACK[1:])
    assert [patched.functions for patched in alone.patch.objects] == [()]
    each_guest.load(alone)
    assert each_guest.sh(PANIC) == "42\n0\n"
    each_guest.unload(alone)
    assert each_guest.sh(PANIC) == "-1\n0\n"
