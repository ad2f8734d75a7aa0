# SPDX-License-Identifier: GPL-2.0-or-later
"""A directory of live patches as SUSE publishes them for SLE 15 SP6: all fixes, some of them, and
which of them fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from suture.builder import build, build_all
from suture.builder.convert import convert
from suture.builder.inputs import Choices
from suture.errors import Acceptance, Refusal
from suture.kernel.release import Target
from suture.model import LivePatch
from tests.command import Place
from tests.examples import shows

SUSE15 = Path(__file__).parents[1] / "lab" / "sources" / "suse15"
FIXES = ("bsc1000001", "bsc1000002", "bsc1000003")
UNAME = ("vmlinux: __x64_sys_newuname", "vmlinux: __ia32_sys_newuname")
GETPGID = ("vmlinux: __x64_sys_getpgid", "vmlinux: __ia32_sys_getpgid")
PROC = ("vmlinux: version_proc_show", "vmlinux: loadavg_proc_show")
NULL_BLK = ("null_blk: memb_group_features_show",)

HEADER = """\
#include <linux/types.h>
struct seq_file;
static inline int livepatch_{0}_init(void) {{ return 0; }}
static inline void livepatch_{0}_cleanup(void) {{}}
int klpp_{0}(struct seq_file *m, void *v);
"""
CODE = '#include "livepatch_{0}.h"\nint klpp_{0}(struct seq_file *m, void *v) {{ return {1}; }}\n'


def replaced(patch: LivePatch) -> tuple[str, ...]:
    """The functions that a live patch replaces."""
    return tuple(f"{objname}: {function.old_name}" for objname, function in patch.each_function())


def write_fix(top: Path, name: str, *, old: str = "uptime_proc_show", result: str = "0") -> None:
    """Write a fix with one function that takes what ``uptime_proc_show()`` takes."""
    (top / name).mkdir()
    (top / name / f"livepatch_{name}.h").write_text(HEADER.format(name))
    (top / name / f"livepatch_{name}.c").write_text(CODE.format(name, result))
    (top / name / "patched_funcs.csv").write_text(f"vmlinux {old} klpp_{name}\n")


@pytest.fixture
def fixes(tmp_path: Path) -> Path:
    """The directory, with three fixes more that do not fit."""
    top = tmp_path / "fixes"
    shutil.copytree(SUSE15, top)
    write_fix(top, "absent", old="no_such_proc_show")
    write_fix(top, "arguments", old="single_release")
    write_fix(top, "compiler", result="undeclared()")
    return top


def test_all_fixes_are_built(each_target: Target, tmp_path: Path) -> None:
    (built,) = build_all([SUSE15], each_target, directory=tmp_path)
    assert built.suse_fixes == FIXES
    assert replaced(built.patch) == (*UNAME, *PROC, *GETPGID, *NULL_BLK)
    assert [str(fix) for fix in built.patch.fixes] == [
        "bsc1000001 (CVE-2025-0001)",
        "bsc1000002",
        "bsc1000003",
    ]
    assert all(one.prototype for one in built.checked)


@pytest.mark.parametrize("replace", [None, False])
def test_some_fixes_are_built(target: Target, replace: bool | None) -> None:
    choices = Choices(only=("bsc1000003", "bsc1000002"))
    built = build([SUSE15], target, replace=replace, choices=choices)
    assert sorted(replaced(built.patch)) == sorted((*UNAME, *GETPGID, *NULL_BLK))
    assert [fix.title for fix in built.patch.fixes] == ["bsc1000002", "bsc1000003"]
    read = [digest.name for digest in built.provenance.inputs]
    assert not [name for name in read if "bsc1000001" in name]


def test_a_table_says_which_fixes_fit(target: Target, fixes: Path) -> None:
    with pytest.raises(Refusal) as caught:
        build_all([fixes], target)
    table = [line.split(None, 2) for line in caught.value.evidence]
    assert [row[:2] for row in table] == [
        ["absent", "refused"],
        ["arguments", "refused"],
        *([name, "fits"] for name in FIXES),
        ["compiler", "refused"],
    ]
    told = {row[0]: row[2] for row in table}
    assert told["absent"].startswith("function-not-in-kernel: absent/patched_funcs.csv:1: ")
    assert told["arguments"].startswith("prototype-differs: ")
    assert told["compiler"].startswith("module-does-not-compile: compiler/livepatch_compiler.c:2: ")
    assert told["bsc1000003"] == "null_blk: memb_group_features_show()"
    assert caught.value.found == f"3 of 6 fixes fit {target.release}"
    assert " ".join(f"--only {name}" for name in FIXES) in caught.value.remedy
    shows(caught.value, "suse-fixes-misfit")
    built = build([fixes], target, choices=Choices(only=FIXES))
    assert replaced(built.patch) == (*UNAME, *PROC, *GETPGID, *NULL_BLK)


def test_one_fix_is_refused_as_any_module(target: Target, fixes: Path) -> None:
    with pytest.raises(Refusal) as caught:
        build_all([fixes], target, choices=Choices(only=("absent",)))
    assert caught.value.code == "function-not-in-kernel"


def test_what_is_wrong_with_all_is_said_as_it_is(target: Target, tmp_path: Path) -> None:
    top = tmp_path / "fixes"
    shutil.copytree(SUSE15, top)
    main = top / "livepatch_main.c"
    main.write_text(main.read_text() + "@@KLP_PATCHES_OTHER@@\n")
    with pytest.raises(Refusal) as caught:
        build_all([top], target)
    assert caught.value.code == "placeholder-left"


def test_two_fixes_of_one_function_are_refused_together(target: Target, tmp_path: Path) -> None:
    top = tmp_path / "fixes"
    shutil.copytree(SUSE15, top)
    for name in FIXES:
        shutil.rmtree(top / name)
    write_fix(top, "one")
    write_fix(top, "two")
    with pytest.raises(Refusal) as caught:
        build_all([top], target)
    assert caught.value.code == "function-replaced-twice"
    assert caught.value.where.startswith("one/patched_funcs.csv:1")


def test_an_acceptance_for_nothing_starts_no_trials(target: Target, tmp_path: Path) -> None:
    choices = Choices(accepted=(Acceptance("idle-function-replaced", "other", "tried"),))
    with pytest.raises(Refusal) as caught:
        build_all([SUSE15], target, choices=choices)
    assert caught.value.code == "accepted-not-found"


def test_written_form_has_the_chosen_fixes_alone(target: Target, fixes: Path) -> None:
    out = fixes.parent / "fix.livepatch"
    written = convert([fixes], out, target=target, choices=Choices(only=("bsc1000002",)))
    directories = {Path(name).parent.name for name in written.files}
    assert directories == {"", "fixes", "uname_patch", "bsc1000002"}
    built = build([out], target)
    assert replaced(built.patch) == (*UNAME, *GETPGID)
    assert [fix.title for fix in built.patch.fixes] == ["bsc1000002"]


def test_the_command(place: Place) -> None:
    shutil.copytree(SUSE15, place.directory / "suse")
    command = place.build("suse", "--only", "bsc1000002", "--json")
    finished = place.run(*command)
    assert finished.returncode == 0, finished.stderr
    (module,) = json.loads(finished.stdout)["modules"]
    assert module["suse_fixes"] == ["bsc1000002"]
    finished = place.run(*place.build("suse", "--only", "bsc1000002", "-o", "one.ko"))
    assert "  with     bsc1000002\n" in finished.stdout
    finished = place.run(*place.build("suse", "--only", "bsc100002"))
    assert finished.returncode == 1
    assert "there is bsc1000002" in finished.stderr
