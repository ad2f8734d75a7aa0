# SPDX-License-Identifier: GPL-2.0-or-later
"""One fix written in each camp's way, and inputs of different camps that become one live patch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from suture.builder import build
from suture.builder.artifact import Artifact
from suture.errors import Refusal
from suture.formats.recognise import Format
from suture.kernel.release import Target
from suture.lab.machine import Machine
from suture.model import (
    ExternalSymbol,
    LivePatch,
    PatchedFunction,
    PatchedObject,
    ShadowVariable,
    SymbolReference,
)
from suture.module.inspect import read_file
from suture.workspace.prepare import Workspace
from tests.examples import shows
from tests.lab.guest import Guest
from tests.patches import Edit, diff

pytestmark = pytest.mark.make_test_takes("6.12")

VERSION = "fs/proc/version.c"
CALL = "seq_printf(m, linux_proc_banner,"
ATTACHED = 0x5375747572650001
FRIENDLY = f"""\
if (klp_shadow_get_or_alloc(current, {ATTACHED:#x}, 1, GFP_KERNEL, NULL, NULL))
		seq_puts(m, "Sutured ");
	klp_shadow_free(current, {ATTACHED:#x}, NULL);
	"""
FIX = Edit(VERSION, CALL, f"{FRIENDLY}{CALL}")
FIRST_INCLUDE = "#include <linux/fs.h>\n"


def including(header: str) -> Edit:
    """That the fix needs one more header."""
    return Edit(VERSION, FIRST_INCLUDE, f"{FIRST_INCLUDE}#include {header}\n")


BODY = f"""
static int new_version_proc_show(struct seq_file *m, void *v)
{{
	{FRIENDLY}seq_printf(m, linux_proc_banner, utsname()->sysname, utsname()->release, utsname()->version);
	return 0;
}}
"""
HEADERS = "#include <linux/livepatch.h>\n#include <linux/module.h>\n#include <linux/seq_file.h>\n#include <linux/utsname.h>\n"
TABLES = r"""
static struct klp_func funcs[] = { { .old_name = "version_proc_show", .new_func = new_version_proc_show }, { } };
static struct klp_object objs[] = { { .funcs = funcs }, { } };
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objs, .replace = true };
static int __init fix_init(void) { return klp_enable_patch(&patch); }
static void __exit fix_exit(void) { }
"""
GRAFT = r"""
static struct kgr_patch patch = {
	.name = "version", .owner = THIS_MODULE, .replace_all = true,
	.patches = { KGR_PATCH(version_proc_show, new_version_proc_show), KGR_PATCH_END }
};
static int __init fix_init(void) { return kgr_patch_kernel(&patch); }
static void __exit fix_exit(void) { kgr_patch_remove(&patch); }
"""
END = 'module_init(fix_init);\nmodule_exit(fix_exit);\nMODULE_LICENSE("GPL");\n'

GREETING = r"""
#include <linux/module.h>
#include <linux/kgraft.h>
#include <linux/seq_file.h>
static int new_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "grafted\n");
	return 0;
}
static struct kgr_patch patch = {
	.name = "cmdline", .owner = THIS_MODULE,
	.patches = { KGR_PATCH(cmdline_proc_show, new_cmdline_proc_show), KGR_PATCH_END }
};
static int __init fix_init(void)
{
	pr_info("suture: grafted init\n");
	return kgr_patch_kernel(&patch);
}
static void __exit fix_exit(void)
{
	pr_info("suture: grafted exit\n");
	kgr_patch_remove(&patch);
}
"""
UPTIME = r"""
#include <linux/module.h>
#include <linux/livepatch.h>
#include <linux/seq_file.h>
static int new_uptime_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "long\n");
	return 0;
}
static int before(struct klp_object *obj)
{
	pr_info("suture: uptime pre-patch\n");
	return 0;
}
static void after(struct klp_object *obj)
{
	pr_info("suture: uptime post-unpatch\n");
}
static struct klp_func funcs[] = { { .old_name = "uptime_proc_show", .new_func = new_uptime_proc_show }, { } };
static struct klp_object objs[] = {
	{ .funcs = funcs, .callbacks = { .pre_patch = before, .post_unpatch = after } }, { }
};
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objs };
static int __init fix_init(void) { return klp_enable_patch(&patch); }
static void __exit fix_exit(void) { }
MODULE_INFO(livepatch, "Y");
"""


@pytest.fixture(scope="module")
def guest(each_target: Target) -> Iterator[Guest]:
    with Machine.boot(each_target) as machine:
        yield Guest(machine)
        assert machine.complaints() == ()


def ways(workspace: Workspace, directory: Path) -> dict[Format, Path]:
    """The same fix, as an author of each camp writes it."""
    texts = {
        Format.DIFF: ("diff.patch", diff(workspace.tree, including("<linux/livepatch.h>"), FIX)),
        Format.KPATCH: ("kpatch.patch", diff(workspace.tree, including('"kpatch-macros.h"'), FIX)),
        Format.KSPLICE: (
            "ksplice.patch",
            diff(workspace.tree, including('"ksplice-patch.h"'), FIX),
        ),
        Format.KGRAFT: ("kgraft.c", f"#include <linux/kgraft.h>\n{HEADERS}{BODY}{GRAFT}{END}"),
        Format.LIVEPATCH: (
            "livepatch.c",
            f'{HEADERS}{BODY}{TABLES}{END}MODULE_INFO(livepatch, "Y");\n',
        ),
    }
    for name, text in texts.values():
        (directory / name).write_text(text)
    return {format: directory / name for format, (name, _) in texts.items()}


def replaced(built: Artifact) -> set[tuple[str, str, int]]:
    return {
        (item.name, function.old_name, function.sympos)
        for item in built.patch.objects
        for function in item.functions
    }


def test_one_fix_in_every_camps_way_is_one_live_patch(
    each_target: Target, each_workspace: Workspace, guest: Guest, tmp_path: Path
) -> None:
    banner = SymbolReference("vmlinux", ExternalSymbol("vmlinux", "linux_proc_banner", 0))
    for format, path in ways(each_workspace, tmp_path).items():
        built = build(
            [path], each_target, name=f"way_{format.value}", output=tmp_path / f"{format.value}.ko"
        )
        assert built.inputs[0].format is format
        (function,) = built.patch.objects[0].functions
        assert function.source == VERSION or function.source.startswith(f"{format.value}.c:")
        replacing = (PatchedFunction("version_proc_show", 0, function.new_name),)
        objects = (PatchedObject("vmlinux", replacing),)
        shadows = (ShadowVariable(ATTACHED),)
        assert built.patch == LivePatch(f"way_{format.value}", objects, True, shadows, (banner,))
        assert read_file(built.path).patch == built.patch
        guest.load(built)
        assert guest.sh("cat /proc/version").startswith("Sutured Linux version")
        guest.unload(built)
        assert guest.sh("cat /proc/version").startswith("Linux version")


def test_inputs_of_three_camps_become_one_live_patch(
    each_target: Target, each_workspace: Workspace, guest: Guest, tmp_path: Path
) -> None:
    inputs = {
        "one.c": GREETING + END,
        "two.c": UPTIME + END,
        "three.patch": diff(each_workspace.tree, including("<linux/livepatch.h>"), FIX),
    }
    for name, text in inputs.items():
        (tmp_path / name).write_text(text)
    built = build(
        [tmp_path / name for name in inputs],
        each_target,
        name="all_three",
        output=tmp_path / "all_three.ko",
    )
    assert replaced(built) == {
        ("vmlinux", name, 0)
        for name in ("version_proc_show", "cmdline_proc_show", "uptime_proc_show")
    }
    guest.load(built)
    assert guest.sh("cat /proc/version /proc/cmdline /proc/uptime").split()[0] == "Sutured"
    assert guest.sh("cat /proc/cmdline /proc/uptime") == "grafted\nlong\n"
    guest.unload(built)
    assert "grafted" not in guest.sh("cat /proc/cmdline")
    log = [
        line.split("suture: ")[1]
        for line in guest.machine.kernel_log().splitlines()
        if "suture: " in line
    ]
    assert log == ["grafted init", "uptime pre-patch", "uptime post-unpatch", "grafted exit"]


def test_two_inputs_that_replace_one_function_are_refused(
    target: Target, workspace: Workspace, tmp_path: Path
) -> None:
    written = ways(workspace, tmp_path)
    with pytest.raises(Refusal) as caught:
        build(
            [written[Format.KGRAFT], written[Format.DIFF]],
            target,
            name="twice",
            output=tmp_path / "twice.ko",
        )
    assert caught.value.code == "function-replaced-twice"
    assert VERSION in caught.value.where
    assert "kgraft.c:" in caught.value.found
    assert not (tmp_path / "twice.ko").exists()


def selftest(workspace: Workspace, name: str) -> Path:
    """A module of the target's own selftests; they moved in 6.9."""
    beside = workspace.tree / "tools/testing/selftests/livepatch/test_modules"
    return (beside if beside.is_dir() else workspace.tree / "lib/livepatch") / f"{name}.c"


def test_an_authors_states_are_the_live_patchs(
    each_target: Target, each_workspace: Workspace, guest: Guest, tmp_path: Path
) -> None:
    """The kernel's own example: the first saves console_loglevel in its state, the second takes it
    over from there."""
    (tmp_path / "fix.patch").write_text(
        diff(each_workspace.tree, including("<linux/livepatch.h>"), FIX)
    )
    first = [selftest(each_workspace, "test_klp_state"), tmp_path / "fix.patch"]
    stated = build(first, each_target, name="stated", output=tmp_path / "stated.ko")
    second = build(
        [selftest(each_workspace, "test_klp_state2")],
        each_target,
        output=tmp_path / "test_klp_state2.ko",
    )
    level = "cut -f1 /proc/sys/kernel/printk"
    before = guest.sh(level)
    guest.load(stated)
    assert guest.sh(level) == "15\n"
    assert guest.sh("cat /proc/version").startswith("Sutured")
    said = len(guest.machine.kernel_log())
    guest.load(second)
    assert "taking over the console_loglevel change" in guest.machine.kernel_log()[said:]
    assert guest.sh(level) == "15\n"
    assert guest.sh("cat /proc/version").startswith("Linux")
    guest.unload(second)
    assert guest.sh(level) == before
    guest.sh("rmmod stated")


def test_states_of_two_authors_are_refused(
    target: Target, workspace: Workspace, tmp_path: Path
) -> None:
    both = [selftest(workspace, "test_klp_state"), selftest(workspace, "test_klp_state3")]
    with pytest.raises(Refusal) as caught:
        build(both, target, name="both", output=tmp_path / "both.ko")
    shows(caught.value, "states-several")
