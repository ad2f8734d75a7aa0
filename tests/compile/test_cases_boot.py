# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches about what only code sets up that a live patch leaves out: ``__init`` and ``__exit``."""

from __future__ import annotations

from pathlib import Path

import pytest

import suture
from suture.errors import Refusal
from suture.kernel.release import Target
from suture.workspace.prepare import Workspace
from tests.patches import Edit, diff

LOOP, NULL_BLK = "drivers/block/loop.c", "drivers/block/null_blk/main.c"


def patch_of(tree: Path, to: Path, *edits: Edit) -> Path:
    path = to / "case.patch"
    path.write_text(diff(tree, *edits))
    return path


def refusal_of(patch: Path, target: Target) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        suture.build([patch], target)
    return refusal.value


def replaced(artifact: suture.Artifact) -> set[tuple[str, str]]:
    """The old and the new name of each replaced function."""
    objects = artifact.patch.objects
    return {(one.old_name, one.new_name) for item in objects for one in item.functions}


# --- functions whose arguments change while code that stays calls them

ADD = "static int loop_add(int i)\n{\n"
CALLS = ("\tloop_add(idx);\n", "return loop_add(-1);", "return loop_add(parm);", "\tloop_add(i);")


def called_otherwise(declared: str, arguments: str, body: str = "") -> list[Edit]:
    """Another prototype of loop_add(), and other calls of it.

    :param declared: the new parameters.
    :param arguments: what stands for the old argument; ``#`` for the argument, ``%`` for a number.
    """
    edits = [Edit(LOOP, ADD, f"static int loop_add({declared})\n{{\n{body}")]
    for number, call in enumerate(CALLS, 1):
        start, old = call.split("loop_add(")
        argument, end = old.split(")", 1)
        new = arguments.replace("#", argument).replace("%", str(number))
        edits.append(Edit(LOOP, call, f"{start}loop_add({new}){end}"))
    return edits


QUIET = "\tif (why == 100 + max_loop)\n\t\treturn -EIO;\n"
OTHER_ARGUMENTS = {
    "one more in front": called_otherwise("unsigned long why, int i", "%, #", QUIET),
    "one more behind": called_otherwise("int i, unsigned long why", "#, %", QUIET),
    "one more on either side": called_otherwise("long why, int i, long too", "%, #, %", QUIET),
    "another type": called_otherwise(
        "long j", "#", "\tint i = j;\n\n\tif (j > 1L << 40)\n\t\treturn -EIO;\n"
    ),
    "a place for a result": called_otherwise(
        "int i, int *result", "#, &(int){ % }", "\t*result = max_loop;\n"
    ),
}
SAME_ARGUMENTS = {
    "another body": [
        Edit(LOOP, ADD, f'{ADD}\tpr_info("one more\\n");\n'),
        Edit(LOOP, CALLS[3], f'{{\n\t\tpr_info("%d\\n", i);\n\t{CALLS[3]}\n\t}}'),
    ],
    "a typedef": called_otherwise("s32 i", "#", '\tpr_info("one more\\n");\n'),
    "another name": [
        Edit(LOOP, ADD, f'{ADD}\tpr_info("one more\\n");\n'.replace("loop_add", "loop_create")),
        *(Edit(LOOP, call, call.replace("loop_add", "loop_create")) for call in CALLS),
    ],
}


@pytest.mark.parametrize("case", OTHER_ARGUMENTS)
def test_init_code_of_a_module_would_pass_the_old_arguments(
    case: str, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    found = refusal_of(patch_of(each_workspace.tree, tmp_path, *OTHER_ARGUMENTS[case]), each_target)
    assert (found.code, found.where) == ("prototype-changed", f"{LOOP}: loop_add()")
    assert any("loop_init()" in line for line in found.evidence)


@pytest.mark.parametrize("case", SAME_ARGUMENTS)
def test_init_code_of_a_module_passes_the_same_arguments(
    case: str, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    patch = patch_of(each_workspace.tree, tmp_path, *SAME_ARGUMENTS[case])
    assert "loop_add" in {old for old, _ in replaced(suture.build([patch], each_target))}


def test_exit_code_would_pass_the_old_arguments(
    target: Target, workspace: Workspace, tmp_path: Path
) -> None:
    """A general protection fault when null_blk is unloaded, once."""
    head = "static void null_destroy_dev(struct nullb *nullb)\n{\n"
    body = "\tstruct nullb_device *dev = nullb->dev;\n\n\tnull_del_dev(nullb);\n\tnull_free_device"
    call = "\t\tnull_destroy_dev(nullb);\n\t}\n"
    more = "\n\n\tif (why == 100 + g_queue_mode)\n\t\treturn;\n"
    new = head.replace("(struct", "(unsigned long why, struct") + body.replace("\n\n", more, 1)
    edits = [Edit(NULL_BLK, head + body, new)]
    for number, end in enumerate(("\tunregister_blkdev", "\tmutex_unlock")):
        edits.append(Edit(NULL_BLK, call + end, call.replace("(", f"({number}, ") + end))
    found = refusal_of(patch_of(workspace.tree, tmp_path, *edits), target)
    assert (found.code, found.where) == ("prototype-changed", f"{NULL_BLK}: null_destroy_dev()")
    assert [line.split()[0] for line in found.evidence] == ["null_init()", "null_exit()"]
    assert "when null_blk is unloaded" in found.evidence[1]


# --- functions under another name

SHOWS = {
    "fs/proc/version.c": "version_proc_show",
    "fs/proc/uptime.c": "uptime_proc_show",
    "fs/proc/loadavg.c": "loadavg_proc_show",
    "fs/proc/cmdline.c": "cmdline_proc_show",
    "fs/proc/meminfo.c": "meminfo_proc_show",
}


def renamed_show(tree: Path, path: str) -> list[Edit]:
    """The show function of a file in /proc under another name, with one line more."""
    name, text = SHOWS[path], (tree / path).read_text()
    start = text.index(f"static int {name}(")
    body = text[start : text.index("\treturn 0;\n}", start)]
    (line,) = [one for one in text.splitlines() if f", {name});" in one]
    fixed = body.replace(name, f"{name}_adv") + '\tseq_puts(m, "adv\\n");\n'
    return [
        Edit(path, f"{body}\treturn 0;\n}}", f"{fixed}\treturn 0;\n}}"),
        Edit(path, line, line.replace(name, f"{name}_adv")),
    ]


@pytest.mark.parametrize("path", SHOWS)
def test_a_renamed_function_that_init_code_registered_is_the_old_one(
    path: str, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    tree = each_workspace.tree
    patch = patch_of(tree, tmp_path, *renamed_show(tree, path))
    artifact = suture.build([patch], each_target)
    assert replaced(artifact) == {(SHOWS[path], f"{SHOWS[path]}_adv")}
    assert artifact.left_out == ()
