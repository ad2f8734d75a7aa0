# SPDX-License-Identifier: GPL-2.0-or-later
"""C modules on their way through the written form, and what a build of one says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from suture.builder import build
from suture.builder.convert import convert
from suture.kernel.release import Target
from suture.module.inspect import read_file
from tests.command import Place

SOURCES = Path(__file__).parents[1] / "lab" / "sources"
PARTS, SUSE = SOURCES / "kgraft" / "parts", SOURCES / "suse"


def several_files(directory: Path) -> Path:
    """One C file that includes another and a header beside it."""
    for name in ("fix.c", "fix.h"):
        shutil.copy(PARTS / name, directory / name)
    main = (
        (PARTS / "main.c")
        .read_text()
        .replace("#include <fix.h>", '#define KGR_LEVEL 7\n#include "fix.c"')
    )
    (directory / "kgr-main.c").write_text(main)
    return directory / "kgr-main.c"


def test_written_form_takes_headers_along_and_builds_the_same(
    target: Target, tmp_path: Path
) -> None:
    source = several_files(tmp_path)
    written = convert([source], tmp_path / "fix.livepatch", target=target)
    assert set(written.files) == {
        "livepatch.toml",
        "sources/kgr-main.c",
        "sources/fix.c",
        "sources/fix.h",
    }
    assert (written.manifest.name, written.manifest.replace) == (None, None), (
        "the module says so itself"
    )
    direct = build([source], target, directory=tmp_path)
    again = build([tmp_path / "fix.livepatch"], target, directory=tmp_path)
    assert direct.patch.name == "kgr_main"
    assert not direct.patch.replace, "the author did not say replace_all"
    assert again.patch == direct.patch
    assert read_file(direct.path).patch == direct.patch


HELPER = r"""
#include <linux/module.h>
#include <linux/livepatch.h>
#include <linux/seq_file.h>
static noinline int helper(struct seq_file *m)
{
	msleep(10);
	return 0;
}
static int show(struct seq_file *m, void *v)
{
	if (unlikely(IS_ERR(m)))
		panic("no file");
	return helper(m);
}
static struct klp_func funcs[] = { { .old_name = "version_proc_show", .new_func = show }, { } };
static struct klp_object objs[] = { { .funcs = funcs }, { } };
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objs };
static int __init fix_init(void) { return klp_enable_patch(&patch); }
static void __exit fix_exit(void) { }
module_init(fix_init);
module_exit(fix_exit);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
"""
LEAVES = re.compile(
    r"\bj\w+ .*\n.*R_X86_64_(?:PLT|PC)32\s+(?!__x86_return_thunk|livepatch_authors_exit|klp_enable_patch)(\S+)"
)
"""A jump out of a function; init and exit functions run when nothing else of the module does."""


def test_new_code_of_authors_is_on_the_stack_below_what_it_uses(
    target: Target, tmp_path: Path
) -> None:
    (tmp_path / "helper.c").write_text(
        HELPER.replace("#include <linux/mod", "#include <linux/delay.h>\n#include <linux/mod")
    )
    for source, replacing in (
        (tmp_path / "helper.c", "show"),
        (SUSE, "livepatch_x64_sys_newuname"),
    ):
        for replace in (None, False):
            built = build([source], target, output=tmp_path / "out.ko", replace=replace)
            code = subprocess.run(
                ["objdump", "-dr", built.path], capture_output=True, text=True, check=True
            ).stdout
            assert f"<{replacing}>:" in code or replace is False
            assert ".cold>:" not in code
            assert LEAVES.findall(code) == []


def test_shadow_variables_of_kpatch_are_there_for_modules_too(
    target: Target, tmp_path: Path
) -> None:
    text = HELPER.replace("msleep(10);", 'kpatch_shadow_free(m, "shown");').replace(
        "#include <linux/livepatch.h>", '#include <linux/livepatch.h>\n#include "kpatch.h"'
    )
    (tmp_path / "shadow.c").write_text(text)
    (variable,) = build(
        [tmp_path / "shadow.c"], target, output=tmp_path / "out.ko"
    ).patch.shadow_variables
    assert variable.id, "a number made of the name"


def test_a_main_function_of_a_kernel_thread_is_told(place: Place) -> None:
    text = HELPER.replace(
        "return helper(m);", "while (!kthread_should_stop())\n\t\tcpu_relax();\n\treturn helper(m);"
    )
    place.patch(f"#include <linux/delay.h>\n#include <linux/kthread.h>\n{text}", "thread.c")
    finished = place.run(*place.build("thread.c"))
    assert finished.returncode == 0, finished.stderr
    assert re.search(
        r"thread.c:\d+: show\(\) is the main function of a kernel thread", finished.stderr
    )


def test_a_main_function_of_the_targets_is_told_whatever_replaces_it(place: Place) -> None:
    text = HELPER.replace("show(struct seq_file *m, void *v)", "show(void *m)")
    text = text.replace('"version_proc_show"', '"kswapd"')
    place.patch(f"#include <linux/delay.h>\n{text}", "kswapd.c")
    finished = place.run(*place.build("kswapd.c"))
    assert finished.returncode == 0, finished.stderr
    told = r"kswapd.c:\d+: kswapd\(\) is the main function of .+; the transition waits for it"
    assert re.search(told, finished.stderr)


def test_build_says_what_is_not_proved(place: Place) -> None:
    several_files(place.directory)
    finished = place.run(*place.build("kgr-main.c"))
    assert finished.returncode == 0, finished.stderr
    said = [line.strip() for line in finished.stdout.splitlines()]
    assert "replaces vmlinux: cmdline_proc_show(), found, has a fentry call, same prototype" in said
    assert said[-1].startswith("not proved: ")
