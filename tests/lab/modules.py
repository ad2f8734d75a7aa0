# SPDX-License-Identifier: GPL-2.0-or-later
"""Live patches, and a module that tasks do not leave, built by the target's kbuild alone and all in
one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from suture.elf import reader, writer
from suture.host import run
from suture.model import Fix, LivePatch, RecordedFinding, Update
from suture.module import modinfo
from suture.workspace import kbuild
from suture.workspace.prepare import Workspace

HEAD = """\
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>
"""

FOOT = """
static int __init begin(void) { return klp_enable_patch(&patch); }
static void __exit end(void) { }
module_init(begin);
module_exit(end);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
"""

HOLDER = """\
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/proc_fs.h>

/* A function that its thread never leaves. */
noinline int holder_thread(void *unused)
{
    while (!kthread_should_stop())
        schedule_timeout_interruptible(HZ / 10);
    return 0;
}

/* A function that a task sleeps in for as long as holder_hold is set. No signal wakes it. */
static int holder_hold = 1;
module_param(holder_hold, int, 0644);

noinline int holder_sleep(void)
{
    while (READ_ONCE(holder_hold))
        schedule_timeout_uninterruptible(HZ / 10);
    return 1;
}

static ssize_t holder_read(struct file *file, char __user *to, size_t size, loff_t *at)
{
    int left = holder_sleep();
    return left ? 0 : 1;
}

static const struct proc_ops ops = { .proc_read = holder_read };
static struct task_struct *thread;

static int __init begin(void)
{
    thread = kthread_run(holder_thread, NULL, "holder");
    if (IS_ERR(thread))
        return PTR_ERR(thread);
    proc_create("holder", 0400, NULL, &ops);
    return 0;
}

static void __exit end(void)
{
    WRITE_ONCE(holder_hold, 0);
    kthread_stop(thread);
    remove_proc_entry("holder", NULL);
}
module_init(begin);
module_exit(end);
MODULE_LICENSE("GPL");
"""


def live_patch(
    code: str,
    functions: Mapping[str, str],
    *,
    objname: str = "",
    replace: bool = False,
    callbacks: str = "",
) -> str:
    """C source of a live patch.  :param functions: old name to new.  :param callbacks: of ``struct
    klp_callbacks``."""
    listed = "".join(
        f'{{ .old_name = "{old}", .new_func = {new} }}, ' for old, new in functions.items()
    )
    name = f'.name = "{objname}", ' if objname else ""
    return f"""{HEAD}{code}
static struct klp_func funcs[] = {{ {listed}{{ }} }};
static struct klp_object objs[] = {{ {{ {name}.funcs = funcs, .callbacks = {{ {callbacks} }} }}, {{ }} }};
static struct klp_patch patch = {{ .mod = THIS_MODULE, .objs = objs, .replace = {str(replace).lower()} }};
{FOOT}"""


def shows(text: str) -> str:
    """New code for a file of /proc: it shows `text`."""
    return f'static int new_code(struct seq_file *m, void *v) {{ seq_puts(m, "{text}\\n"); return 0; }}'


STAYS = """
#include <linux/delay.h>
static int stay = 1;
module_param(stay, int, 0644);
static int new_code(void)
{
    while (READ_ONCE(stay))
        schedule_timeout_uninterruptible(HZ / 10);
    return 2;
}
"""
"""New code that a task sleeps in for as long as a parameter of the live patch's is set."""

REFUSES = f"""{shows("refused")}
static int pre_patch(struct klp_object *obj) {{ return -ENODEV; }}
"""
"""A live patch that does not want to be in force here
(``Documentation/livepatch/callbacks.rst``)."""

SOURCES = {
    "holder": HOLDER,
    "lp_one": live_patch(shows("one"), {"cmdline_proc_show": "new_code"}),
    "lp_two": live_patch(shows("two"), {"version_proc_show": "new_code"}),
    "lp_all": live_patch(shows("all"), {"cmdline_proc_show": "new_code"}, replace=True),
    "lp_thread": live_patch(
        "static int new_code(void *unused) { return 0; }",
        {"holder_thread": "new_code"},
        objname="holder",
    ),
    "lp_sleep": live_patch(
        "static int new_code(void) { return 2; }", {"holder_sleep": "new_code"}, objname="holder"
    ),
    "lp_stay": live_patch(STAYS, {"holder_sleep": "new_code"}, objname="holder"),
    "lp_refuses": live_patch(
        REFUSES, {"cmdline_proc_show": "new_code"}, callbacks=".pre_patch = pre_patch"
    ),
    "lp_none": live_patch(shows("none"), {"no_such_function": "new_code"}),
    "lp_many": live_patch(shows("many"), {"name_show": "new_code"}),
}


def with_other_build_id(module: bytes) -> bytes:
    """The same module to all appearances, and another one (``.note.gnu.build-id`` is its only note
    of that name)."""
    note = module.index(bytes.fromhex("04000000 14000000 03000000") + b"GNU\0") + 16
    return module[:note] + bytes(20) + module[note + 20 :]


def with_finding(module: bytes, finding: RecordedFinding, *fixes: Fix) -> bytes:
    """The same module, built with a finding, and with what it is for."""
    return _with_entries(module, LivePatch("any", (), findings=(finding,), fixes=fixes))


def with_update(module: bytes, update: Update) -> bytes:
    """The same module, built of a newer version's fixes."""
    return _with_entries(module, LivePatch("any", (), update=update))


def _with_entries(module: bytes, said: LivePatch) -> bytes:
    return writer.write(modinfo.with_entries(reader.read(module, "module"), said))


OF_THE_KERNEL = (
    "samples/livepatch/livepatch-sample.c",
    "lib/livepatch/test_klp_atomic_replace.c",
    "tools/testing/selftests/livepatch/test_modules/test_klp_atomic_replace.c",
    "lib/livepatch/test_klp_callbacks_demo.c",
    "tools/testing/selftests/livepatch/test_modules/test_klp_callbacks_demo.c",
)
"""Its own live patches; where they stand has changed."""


def build(
    workspace: Workspace,
    directory: Path,
    sources: Mapping[str, str] = SOURCES,
    of_the_kernel: Sequence[str] = OF_THE_KERNEL,
) -> dict[str, bytes]:
    """All of them, and those of the kernel's own: the module's name to the module."""
    for name, source in sources.items():
        (directory / f"{name}.c").write_text(source)
    for place in of_the_kernel:
        source_file = workspace.tree / place
        if source_file.exists():
            (directory / source_file.name).write_text(source_file.read_text())
    names = sorted(path.stem for path in directory.glob("*.c"))
    (directory / "Makefile").write_text("".join(f"obj-m += {name}.o\n" for name in names))
    command = kbuild.make_command(
        workspace.target.release, workspace.compiler, f"M={directory}", "modules"
    )
    run.check(command, cwd=workspace.tree, env=kbuild.clean_environment())
    return {path.stem.replace("-", "_"): path.read_bytes() for path in directory.glob("*.ko")}
