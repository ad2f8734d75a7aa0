# SPDX-License-Identifier: GPL-2.0-or-later
"""The workspace of a real target: what is compiled in it, and that nothing half done stays
behind."""

from __future__ import annotations

import difflib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.formats.diff import PatchSource, parse
from suture.host.files import locked
from suture.host.progress import Silent, reporter
from suture.host.run import Finished
from suture.workspace import kbuild, objects
from suture.workspace.compile import ObjectPair, object_pairs, touched_by
from suture.workspace.graph import announced, originals_preprocessed
from suture.workspace.original import originals
from suture.workspace.prepare import Workspace
from tests.examples import shows

Edit = Callable[[str], str]


def patch_of(workspace: Workspace, edits: dict[str, Edit]) -> PatchSource:
    text = ""
    for path, edit in edits.items():
        file = workspace.tree / path
        old = file.read_text() if file.exists() else ""
        sides = old.splitlines(keepends=True), edit(old).splitlines(keepends=True)
        text += "".join(
            difflib.unified_diff(
                sides[0], sides[1], f"a/{path}" if old else "/dev/null", f"b/{path}"
            )
        )
    return PatchSource((parse("test.patch", text.encode()),))


def replacing(old: str, new: str) -> Edit:
    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return edit


def pairs(workspace: Workspace, edits: dict[str, Edit]) -> dict[str, ObjectPair]:
    return {
        pair.source: pair
        for pair in object_pairs(workspace, touched_by(workspace, patch_of(workspace, edits)))
    }


def refused(workspace: Workspace, edits: dict[str, Edit]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        pairs(workspace, edits)
    return caught.value


def blank_line(text: str) -> str:
    """A line more near the top: no code changes, but every line number below does."""
    return text.replace("\n", "\n\n", 1)


class Steps(Silent):
    def __init__(self) -> None:
        self.begun: list[str] = []
        self.notes: list[str] = []

    def begin(self, what: str, detail: str) -> None:
        self.begun.append(what)

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def steps() -> Steps:
    steps = Steps()
    reporter.set(steps)
    return steps


MEMINFO = {"fs/proc/meminfo.c": replacing('"MemTotal: ', '"MemTOTAL: ')}


def test_a_built_in_file_and_a_module_file(workspace: Workspace) -> None:
    made = pairs(
        workspace,
        {
            **MEMINFO,
            "drivers/block/loop.c": replacing("loop: module loaded", "loop: MODULE loaded"),
        },
    )
    assert {source: pair.objname for source, pair in made.items()} == {
        "fs/proc/meminfo.c": "vmlinux",
        "drivers/block/loop.c": "loop",
    }
    pair = made["fs/proc/meminfo.c"]
    assert b"MemTotal: " in pair.original
    assert b"MemTOTAL: " in pair.patched
    assert b"MemTotal: " not in pair.patched


def test_each_function_has_its_section(workspace: Workspace, tmp_path: Path) -> None:
    (pair,) = object_pairs(workspace, touched_by(workspace, patch_of(workspace, MEMINFO)))
    (tmp_path / "x.o").write_bytes(pair.original)
    sections = subprocess.run(
        ["readelf", "-SW", tmp_path / "x.o"], capture_output=True, text=True, check=True
    ).stdout
    assert ".text.meminfo_proc_show" in sections
    assert ".debug_info" not in sections


def test_the_second_build_compiles_nothing(workspace: Workspace, steps: Steps) -> None:
    first = pairs(workspace, MEMINFO)
    steps.begun.clear()
    assert pairs(workspace, MEMINFO) == first
    assert steps.begun == []


def test_a_damaged_kept_object_is_compiled_again(workspace: Workspace, steps: Steps) -> None:
    first = pairs(workspace, MEMINFO)
    for path in (workspace.directory / "objects").rglob("*"):
        if path.is_file() and b"meminfo" in path.read_bytes():
            path.write_bytes(path.read_bytes()[:-1])
    steps.begun.clear()
    assert pairs(workspace, MEMINFO) == first
    assert steps.begun == ["Compiling the original", "Compiling the patched side"]


def test_line_numbers_of_unchanged_code_do_not_reach_the_objects(workspace: Workspace) -> None:
    # WARN_ON and BUG in the first; lockdep and printk format strings with __FILE__ in the second.
    for pair in pairs(
        workspace, {"kernel/workqueue.c": blank_line, "mm/vmalloc.c": blank_line}
    ).values():
        assert pair.original == pair.patched


def test_the_pristine_tree_is_not_modified(workspace: Workspace) -> None:
    before = (workspace.tree / "fs/proc/meminfo.c").read_bytes()
    pairs(workspace, {"fs/proc/meminfo.c": replacing('"MemFree: ', '"MemFREE: ')})
    assert (workspace.tree / "fs/proc/meminfo.c").read_bytes() == before
    with locked(workspace.directory / "kbuild.lock"):  # another test may be building here
        assert not (workspace.directory / "unfinished").exists()


@pytest.mark.parametrize(
    ("source", "objname"),
    [
        ("fs/xfs/libxfs/xfs_alloc.c", "xfs"),  # listed by the makefile of the directory above
        ("arch/x86/lib/misc.c", "vmlinux"),  # below two directories that one makefile names
        ("virt/kvm/kvm_main.c", "kvm"),  # listed as ../../../virt/kvm/kvm_main.o
    ],
)
def test_the_makefile_in_charge_compiles_it(
    workspace: Workspace, source: str, objname: str
) -> None:
    (pair,) = pairs(workspace, {source: blank_line}).values()
    assert (pair.source, pair.objname) == (source, objname)


def test_flags_are_those_of_kbuilds_own_single_target(workspace: Workspace) -> None:
    names = ["drivers/gpu/drm/i915/display/intel_bios.o", "fs/xfs/libxfs/xfs_alloc.o"]
    listed = objects.beside(workspace, [name.replace(".o", ".c") for name in names])
    ours = originals(workspace, [listed.listed[name] for name in names])
    for name in names:
        (workspace.tree / name).unlink(missing_ok=True)
    release, compiler = workspace.target.release, workspace.compiler
    flags = [f"KCFLAGS={workspace.target.arch.build.flags}", "KAFLAGS=-g0"]
    command = kbuild.make_command(release, compiler, *flags, "-o", "prepare", *names)
    subprocess.run(
        command, cwd=workspace.tree, env=kbuild.clean_environment(), check=True, capture_output=True
    )
    for name, stored in zip(names, ours, strict=True):
        assert (workspace.tree / name).read_bytes() == stored.content


def test_a_header_compiles_all_that_include_it(workspace: Workspace, steps: Steps) -> None:
    grown = replacing("struct proc_dir_entry {", "struct proc_dir_entry {\n\tint suture_test;")
    made = pairs(workspace, {"fs/proc/internal.h": grown})
    assert {"fs/proc/generic.c", "fs/proc/inode.c", "fs/proc/root.c"} <= made.keys()
    assert all(pair.original != pair.patched for pair in made.values())
    assert any("may include the changed files" in note for note in steps.notes)


def test_kbuild_tells_the_commands_that_it_would_run(workspace: Workspace) -> None:
    # a module's part, below two makefiles, in assembly, with a source elsewhere
    sources = [
        "fs/xfs/libxfs/xfs_alloc",
        "arch/x86/lib/misc",
        "arch/x86/lib/memcpy_64",
        "virt/kvm/kvm_main",
    ]
    every = objects.everything(workspace).listed
    listed = [every[f"{source}.o"] for source in sources]
    told = announced(workspace, listed)
    compiled = {
        one: stored.compilation
        for one, stored in zip(listed, originals(workspace, listed), strict=True)
    }
    assert {one: found.steps for one, found in told.items()} == {
        one: made.steps for one, made in compiled.items()
    }
    read = {
        one: found.compilation.reads
        for one, found in originals_preprocessed(workspace, listed).items()
    }
    # scripts/basic/fixdep.c: is_ignored_file()
    assert {one: found - {"include/generated/autoconf.h"} for one, found in read.items()} == {
        one: made.reads for one, made in compiled.items()
    }


def test_an_inline_function_in_a_header_compiles_its_callers_alone(
    workspace: Workspace, steps: Steps
) -> None:
    header, name = "fs/proc/internal.h", "pde_has_proc_lseek"
    never = replacing(
        "return pde->flags & PROC_ENTRY_proc_lseek;",
        "return pde->flags & PROC_ENTRY_proc_lseek & 0;",
    )
    callers = {
        path.name for path in (workspace.tree / "fs/proc").glob("*.c") if name in path.read_text()
    }
    assert {os.path.basename(source) for source in pairs(workspace, {header: never})} == callers
    assert any(note.endswith(f"; {len(callers)} change with them") for note in steps.notes)
    steps.begun.clear()
    added = replacing(
        "extern ssize_t", "static inline int suture_test(int x)\n{\n\treturn x;\n}\nextern ssize_t"
    )
    assert refused(workspace, {header: added}).code == "no-code-change"
    assert not [step for step in steps.begun if step.startswith("Compiling")]


def test_a_new_header_is_found_by_the_file_that_includes_it(workspace: Workspace) -> None:
    made = pairs(
        workspace,
        {
            "fs/proc/suture_test.h": lambda _: '#define SUTURE_TEST "MemTOTAL: "\n',
            "fs/proc/meminfo.c": lambda text: (
                '#include "suture_test.h"\n' + text.replace('"MemTotal: ', 'SUTURE_TEST  "')
            ),
        },
    )
    assert b"MemTOTAL: " in made["fs/proc/meminfo.c"].patched


def test_a_c_file_that_others_include_is_a_header(workspace: Workspace) -> None:
    made = pairs(
        workspace,
        {
            "kernel/sched/rt.c": replacing(
                "static int do_sched_rt_period_timer(",
                "int suture_test;\nstatic int do_sched_rt_period_timer(",
            )
        },
    )
    assert list(made) == ["kernel/sched/build_policy.c"]


def test_comments_in_a_header_are_no_change(workspace: Workspace, steps: Steps) -> None:
    # Every object of the kernel includes it: that must be known from the header alone.
    assert refused(workspace, {"include/linux/sched.h": blank_line}).code == "no-code-change"
    assert steps.begun == []
    assert any("only comments change" in note for note in steps.notes)


def test_a_macro_that_one_file_mentions_lets_one_file_be_looked_at(
    workspace: Workspace, steps: Steps
) -> None:
    """Nearly all objects include linux/mm.h; it was an hour until all had been preprocessed."""
    flag = replacing("#define FOLL_PIN", "#define FOLL_SUTURE\t0x4000000\n#define FOLL_PIN")
    use = replacing(
        "\tif (gup_flags & FOLL_ANON && ",
        "\tif (gup_flags & FOLL_SUTURE)\n\t\treturn -EFAULT;\n\tif (gup_flags & FOLL_ANON && ",
    )
    made = pairs(workspace, {"include/linux/mm.h": flag, "mm/gup.c": use})
    assert list(made) == ["mm/gup.c"]
    looked_at = [note for note in steps.notes if "may include the changed files; " in note]
    assert all(int(note.split()[0]) < 64 for note in looked_at)


def test_a_number_for_assembly_code_may_not_change(workspace: Workspace) -> None:
    flag = replacing("enum zone_type {", "enum zone_type {\n\tZONE_SUTURE_TEST,")
    # Every object of the kernel includes it: the refusal has to come before all are compiled.
    shows(refused(workspace, {"include/linux/mmzone.h": flag}), "generated-header-changed")


def test_what_a_header_is_generated_from_is_compared_by_its_numbers(
    workspace: Workspace, steps: Steps
) -> None:
    other = replacing("DEFINE(MAX_NR_ZONES, __MAX_NR_ZONES);", "DEFINE(MAX_NR_ZONES, 7);")
    refusal = refused(workspace, {"kernel/bounds.c": other})
    assert (refusal.code, refusal.where) == ("generated-header-changed", "kernel/bounds.c")
    same = replacing("int main(void)\n{", "int main(void)\n{\n\t;")
    refusal = refused(workspace, {"kernel/bounds.c": same})
    assert (refusal.code, refusal.where) == ("no-code-change", "kernel/bounds.c")
    assert "Finding objects that change with them" not in steps.begun


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("scripts/mod/modpost.c", "no-code-change"),
        ("arch/x86/tools/relocs.c", "build-system-changed"),
        ("usr/gen_init_cpio.c", "build-system-changed"),
        ("drivers/tty/vt/cp437.uni", "build-system-changed"),
        ("arch/x86/lib/x86-opcode-map.txt", "build-system-changed"),
        ("include/generated/autoconf.h", "build-system-changed"),
    ],
)
def test_what_no_object_is_compiled_from_is_refused_before_objects_are_looked_at(
    path: str, code: str, workspace: Workspace, steps: Steps
) -> None:
    refusal = refused(workspace, {path: lambda text: f"{text}\nx\n"})
    assert (refusal.code, refusal.where) == (code, path)
    assert steps.begun == []


def test_a_file_that_is_not_built_is_refused(workspace: Workspace) -> None:
    for source in ("drivers/video/fbdev/intelfb/intelfbdrv.c", "kernel/locking/locktorture_none.c"):
        edit = blank_line if (workspace.tree / source).exists() else (lambda _: "int x;\n")
        assert refused(workspace, {source: edit}).code == "file-not-built"


def test_the_compilers_message_has_the_authors_line_numbers(workspace: Workspace) -> None:
    def broken(text: str) -> str:
        return "\n\n\n" + text.replace(
            "static int meminfo_proc_show", "BROKEN;\nstatic int meminfo_proc_show", 1
        )

    refusal = refused(workspace, {"fs/proc/meminfo.c": broken})
    line = (
        broken((workspace.tree / "fs/proc/meminfo.c").read_text()).split("\n").index("BROKEN;") + 1
    )
    assert refusal.code == "patch-does-not-compile"
    assert any(text.startswith(f"fs/proc/meminfo.c:{line}:") for text in refusal.evidence)


def build_external(workspace: Workspace, directory: Path, *, unresolved: bool = False) -> Finished:
    return kbuild.build_external(
        workspace.target.release,
        workspace.compiler,
        workspace.tree,
        directory,
        unresolved=unresolved,
    )


def test_an_external_module_carries_the_targets_vermagic(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "Kbuild").write_text("obj-m := suture_test.o\n")
    (tmp_path / "suture_test.c").write_text('#include <linux/module.h>\nMODULE_LICENSE("GPL");\n')
    build_external(workspace, tmp_path)
    info = subprocess.run(
        ["modinfo", tmp_path / "suture_test.ko"], capture_output=True, text=True, check=True
    ).stdout
    shipped = next(workspace.target.modules.rglob("loop.ko*"))
    reference = subprocess.run(
        ["modinfo", "-F", "vermagic", shipped], capture_output=True, text=True, check=True
    )
    assert reference.stdout.strip() in info


def test_a_module_that_does_not_link_is_refused_with_the_message(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "Kbuild").write_text("obj-m := suture_test.o\n")
    (tmp_path / "suture_test.c").write_text(
        '#include <linux/module.h>\nvoid nowhere(void);\nvoid f(void) { nowhere(); }\nMODULE_LICENSE("GPL");\n'
    )
    with pytest.raises(Refusal) as caught:
        build_external(workspace, tmp_path)
    assert caught.value.code == "module-link-failed"
    assert any("nowhere" in line for line in caught.value.evidence)
    finished = build_external(workspace, tmp_path, unresolved=True)
    assert "nowhere" in finished.stdout + finished.stderr


def test_the_users_environment_has_no_say(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pairs(workspace, {"fs/proc/version.c": blank_line})
    for path in (workspace.directory / "objects").rglob("*"):
        if path.is_file() and b"fs/proc/version" in path.read_bytes():
            path.unlink()
    for name, value in {
        "CFLAGS": "-O0",
        "KCFLAGS": "-O0",
        "MAKEFLAGS": "-k",
        "ARCH": "arm64",
        "C_INCLUDE_PATH": "/",
    }.items():
        monkeypatch.setenv(name, value)
    assert pairs(workspace, {"fs/proc/version.c": blank_line}) == first
