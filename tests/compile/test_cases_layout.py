# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches that change layouts, on both kernel series: refused by the type, or built without a
word."""

from __future__ import annotations

from pathlib import Path

import pytest

import suture
from suture.builder.inputs import Choices
from suture.errors import Acceptance, Level, Refusal
from suture.kernel.release import Target
from suture.workspace.prepare import Workspace
from tests.compile.test_cases import CASES, refused
from tests.examples import shows
from tests.patches import Edit, diff

EVENTFD, COUNT = "fs/eventfd.c", "\t__u64 count;\n"
READ = Edit(EVENTFD, "\t*cnt = ", '\tpr_debug("suture\\n");\n\t*cnt = ')

REFUSED = {
    "a member in the middle": ("eventfd_ctx", Edit(EVENTFD, COUNT, f"\tu64 reads;\n{COUNT}")),
    "a member that becomes narrower": (
        "eventfd_ctx",
        Edit(EVENTFD, COUNT, COUNT.replace("__u64", "__u32") + "\t__u32 high;\n"),
    ),
    "objects of a cache that boot made": (
        "proc_inode",
        Edit("fs/proc/internal.h", "\tstruct inode vfs_inode;", "\tu64 reads;\n\tstruct inode vfs_inode;"),
    ),
    "a bound of an array": ("kioctx", Edit("fs/aio.c", "PAGES\t8", "PAGES\t16")),
    "a bit of a mask": ("Enabled", Edit("fs/binfmt_misc.c", "{Enabled, Magic}", "{Magic, Enabled}")),
    "a structure that a typedef names": (
        "Node",
        Edit("fs/binfmt_misc.c", "typedef struct {\n", "typedef struct {\n\tu64 runs;\n"),
    ),
    "a list in a structure that timers are in": (
        "timerfd_ctx",
        Edit("fs/timerfd.c", "\tstruct list_head clist;", "\tstruct list_head clist, more;"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_layout_of_objects_in_memory_is_refused(
    case: str, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    name, edit = REFUSED[case]
    patch = tmp_path / "case.patch"
    patch.write_text(diff(each_workspace.tree, edit))
    found = refused(patch, each_target)
    assert found.code == "layout-changed"
    assert f"--accept layout-changed:{name} " in found.remedy


BUILT = {
    "a new structure and a new enumeration": (
        Edit(EVENTFD, "struct eventfd_ctx {", "enum seen { NO, YES };\nstruct seen_ctx { u64 reads; };\n"
             "static struct seen_ctx seen_ctx;\n\nstruct eventfd_ctx {"),
        Edit(EVENTFD, "\t*cnt = ", "\tseen_ctx.reads += YES;\n\t*cnt = "),
    ),
    "a macro that is new": (
        Edit(EVENTFD, "struct eventfd_ctx {", "#define SUTURE_ONE 1\n\nstruct eventfd_ctx {"),
        Edit(EVENTFD, "\t*cnt = ", "\tpr_debug(\"%d\\n\", SUTURE_ONE);\n\t*cnt = "),
    ),
    "a member of another sign": (Edit(EVENTFD, "\tint id;", "\tunsigned int id;"), READ),
}  # fmt: skip


@pytest.mark.parametrize("case", BUILT)
def test_a_change_that_no_object_has_is_built(
    case: str, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    patch = tmp_path / "case.patch"
    patch.write_text(diff(each_workspace.tree, *BUILT[case]))
    artifact = suture.build([patch], each_target)
    assert artifact.findings == ()
    assert [item.name for item in artifact.patch.objects] == ["vmlinux"]


LOOP, SETS = "drivers/block/loop.c", "\tlo->lo_state = Lo_deleting;"


@pytest.mark.parametrize("stays", [False, True], ids=["goes", "has another name"])
def test_a_state_that_goes_is_a_warning_and_one_that_has_another_name_is_silent(
    stays: bool, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    before = (each_workspace.tree / LOOP).read_text()
    after = before if stays else before.replace("\tLo_deleting,\n", "")
    after = after.replace(SETS, f"{SETS}\n\tmight_sleep();")
    after = after.replace("Lo_deleting", "Lo_going" if stays else "Lo_rundown")
    patch = tmp_path / "case.patch"
    patch.write_text(diff(each_workspace.tree, Edit(LOOP, before, after)))
    found = [
        (one.kind.code, one.name, one.level) for one in suture.build([patch], each_target).findings
    ]
    assert found == ([] if stays else [("enumerator-removed", "Lo_deleting", Level.WARN)])


def test_the_author_accepts_a_layout_and_the_module_says_why(
    each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    patch = tmp_path / "case.patch"
    edit = Edit("fs/timerfd.c", "\tstruct list_head clist;", "\tstruct list_head clist, more;")
    patch.write_text(diff(each_workspace.tree, edit))
    because = "no timerfd is open on these hosts"
    accepted = (Acceptance("layout-changed", "timerfd_ctx", because),)
    artifact = suture.build([patch], each_target, choices=Choices(accepted=accepted))
    (kept,) = suture.inspect(artifact).patch.findings
    assert (kept.code, kept.name, kept.because) == ("layout-changed", "timerfd_ctx", because)
    with pytest.raises(Refusal) as refusal:
        suture.build(
            [patch],
            each_target,
            choices=Choices(accepted=(*accepted, Acceptance("layout-changed", "other", "why"))),
        )
    assert refusal.value.code == "accepted-not-found"


OF_6_1 = {
    "private-member-middle": "devkmsg_user",
    "kmem-cache-size": "aio_kiocb",
    "enum-renumbered": "ESesc",
    "struct-middle": "nullb_device",
}


@pytest.mark.parametrize("case", OF_6_1)
def test_a_case_that_misbehaved_in_a_booted_kernel_is_refused(case: str, target: Target) -> None:
    found = refused(CASES / f"{case}.patch", target)
    assert found.code == "layout-changed"
    assert f"layout-changed:{OF_6_1[case]} " in found.remedy
    if case == "private-member-middle":
        shows(found, "layout-changed")


SAFE = (
    "read-mostly",
    "int-to-bool",
    "new-percpu",
    "ext4-percpu",
    "new-static-key",
    "line-shift",
    "static-namesake",
    "new-file-included",
    "mbox-two",
    "foll-flag",
)


@pytest.mark.parametrize("case", SAFE)
def test_an_unusual_patch_that_is_safe_is_built_without_a_word(case: str, target: Target) -> None:
    artifact = suture.build([CASES / f"{case}.patch"], target)
    assert artifact.findings == ()
    replaced = {name.old_name: name.sympos for _, name in artifact.patch.each_function()}
    assert replaced
    if case == "line-shift":
        assert len(replaced) == 1
    if case == "static-namesake":
        assert replaced == {"seq_show": 1}
