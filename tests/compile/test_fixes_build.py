# SPDX-License-Identifier: GPL-2.0-or-later
"""One cumulative live patch of groups of changed files, some of which cannot be live.

The list is made by hand from edits to the target's own source, so that it is known what becomes of
each group on every kernel.  Witnesses: nm, readelf, and what a build of one group alone gives.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from suture.cli import app
from suture.errors import HEADER_REACHES_MANY, Refusal
from suture.fixes.chosen import chosen_files
from suture.fixes.coverage import Coverage, numbers_of
from suture.fixes.cumulative import CumulativeBuild, build_fixes
from suture.fixes.grouping import grouping
from suture.fixes.listing import RECIPE, FixList, list_fixes, place_of
from suture.fixes.trials import try_groups
from suture.kernel.release import Target
from suture.module.inspect import read_file
from suture.workspace.prepare import Workspace
from tests.examples import shows
from tests.patches import NEW_UNAME, Edit, diff

pytestmark = pytest.mark.make_test_takes("6.1")

NEW = "99:1-1"

UNAME = {"__x64_sys_newuname", "__ia32_sys_newuname"}

INTERNAL, VERSION = "fs/proc/internal.h", "fs/proc/version.c"
EDITS = {
    "helper": (
        Edit(
            INTERNAL,
            "extern void proc_tty_init(void);",
            "extern void proc_tty_init(void);\n"
            '\nstatic inline const char *sutured_word(void)\n{\n\treturn "Sutured ";\n}\n',
        ),
        Edit(
            VERSION,
            "seq_printf(m, linux_proc_banner,",
            "seq_puts(m, sutured_word());\n\tseq_printf(m, linux_proc_banner,",
        ),
    ),
    "alone": (NEW_UNAME,),
    "layout": (
        Edit("fs/timerfd.c", "struct timerfd_ctx {\n", "struct timerfd_ctx {\n\tlong first;\n"),
    ),
    "boot": (Edit("fs/proc/uptime.c", 'proc_create_single("uptime", 0,', 'proc_create_single("uptime", 0444,'),),
    "comment": (Edit("kernel/utsname.c", "Copyright (C)", "(C) Copyright"),),
    "many": (
        Edit("include/linux/mm.h", "#define _LINUX_MM_H\n", "#define _LINUX_MM_H\n#define SetPageDirty(page) 0\n"),
    ),
}  # fmt: skip
CVES = {name: f"CVE-2026-{number:04}" for number, name in enumerate(EDITS, 1)}


@pytest.fixture(scope="module")
def found(each_target: Target, each_workspace: Workspace) -> Iterator[FixList]:
    """A list, kept where `list_fixes` finds it."""
    place = place_of(each_target, NEW)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    text, files, fixes = "", [], []
    for name, edits in EDITS.items():
        paths = sorted({edit.path for edit in edits})
        for path in paths:
            made = diff(each_workspace.tree, *(edit for edit in edits if edit.path == path))
            text += f"diff -ruN a/{path} b/{path}\n{made}"
            files.append(_fields(path=path, added=1, removed=0, functions=[], objects=["vmlinux"]))
        cves = [CVES[name]]
        fixes.append(
            _fields(title=f"{name}: mend it", version=NEW, cves=cves, architectures=[],
                    certainty="likely", files=paths, because=[])
        )  # fmt: skip
    document = _fields(
        recipe=RECIPE, release=each_target.release, old=each_target.version, new=NEW, fixes=fixes,
        files=files, others=[],
    )  # fmt: skip
    (place / "fixes.json").write_text(json.dumps(document))
    (place / "changes.diff.zst").write_bytes(zstandard.compress(text.encode()))
    yield list_fixes(each_target, NEW)
    shutil.rmtree(place)


def _fields(**fields: object) -> dict[str, object]:
    return fields


@pytest.fixture(scope="module")
def built(
    found: FixList, each_target: Target, tmp_path_factory: pytest.TempPathFactory
) -> CumulativeBuild:
    output = tmp_path_factory.mktemp("built") / "all.ko"
    return build_fixes(each_target, found, chosen_files(found, None), output=output)


def test_what_can_be_live_is_built_and_the_rest_is_named(built: CumulativeBuild) -> None:
    codes = {one.group.name: one.code for one in built.verdicts}
    assert codes == {
        VERSION: "",
        INTERNAL: "no-code-change",
        "kernel/sys.c": "",
        "fs/timerfd.c": "layout-changed",
        "fs/proc/uptime.c": "init-function-changed",
        "kernel/utsname.c": "no-code-change",
        "include/linux/mm.h": "header-reaches-many",
    }
    replaced = {function.old_name for _, function in built.artifact.patch.each_function()}
    assert replaced == {"version_proc_show", *UNAME}


def test_a_header_that_reaches_many_objects_is_left_out_by_name(built: CumulativeBuild) -> None:
    one = next(one for one in built.verdicts if one.code == "header-reaches-many")
    refusal = Refusal(HEADER_REACHES_MANY, one.where, one.found)
    if "6.1." in built.artifact.target.release:
        shows(refusal, "header-reaches-many")


def test_only_what_is_in_force_counts(built: CumulativeBuild) -> None:
    numbers = numbers_of(built.fixes)
    assert numbers[Coverage.HAD] == {CVES["helper"], CVES["alone"]}
    assert numbers[Coverage.LACKING] == {CVES["layout"], CVES["boot"], CVES["many"]}
    assert numbers[Coverage.SAME] == {CVES["comment"]}


def test_the_module_says_what_it_has_and_lacks(built: CumulativeBuild) -> None:
    patch = read_file(built.artifact.path).patch
    assert [fix.cves for fix in patch.fixes] == [(CVES["helper"],), (CVES["alone"],)]
    assert patch.update is not None
    assert patch.update.new == NEW
    lacks = {one.cves[0]: one.lacks for one in patch.update.fixes}
    assert lacks == {
        CVES["helper"]: "",
        CVES["alone"]: "",
        CVES["layout"]: "layout-changed",
        CVES["boot"]: "init-function-changed",
        CVES["many"]: "header-reaches-many",
    }
    shown = subprocess.run(
        ["readelf", "--notes", built.artifact.path], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    assert shown.count("Suture") == 2


def test_the_second_time_gives_the_same_module(
    built: CumulativeBuild, found: FixList, each_target: Target
) -> None:
    again = build_fixes(each_target, found, chosen_files(found, None))
    assert again.artifact.data == built.artifact.data
    assert again.verdicts == built.verdicts


def test_a_group_alone_is_what_it_is_beside_others(
    built: CumulativeBuild, found: FixList, each_target: Target
) -> None:
    chosen = chosen_files(found, None, only=["alone"])
    alone = build_fixes(each_target, found, chosen)
    objects = {function.old_name for _, function in alone.artifact.patch.each_function()}
    assert objects == UNAME
    numbers = numbers_of(alone.fixes)
    assert numbers[Coverage.HAD] == {CVES["alone"]}
    assert CVES["helper"] in numbers[Coverage.NOT_CHOSEN]
    update = alone.artifact.patch.update
    assert update is not None
    assert {one.lacks for one in update.fixes} == {"", "not-chosen"}


def test_what_was_tried_before_an_interruption_is_kept(
    found: FixList, each_workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("suture.fixes.trials.cache", lambda: tmp_path)
    made = grouping(each_workspace, found)
    groups = chosen_files(found, None, only=["kernel/sys.c", "kernel/utsname.c"]).groups(
        made.groups
    )
    tried = try_groups(each_workspace, groups, made.diffs, made.declarations)
    first = next(tried)
    tried.close()
    kept = list(tmp_path.rglob("trials/*/*"))
    assert kept
    again = list(try_groups(each_workspace, groups, made.diffs, made.declarations))
    assert first in again
    assert {path for path in kept if path.exists()} == set(kept)


@pytest.mark.parametrize("damage", ["truncated", "other"])
def test_a_damaged_verdict_is_found_anew(
    found: FixList,
    each_workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    damage: str,
) -> None:
    monkeypatch.setattr("suture.fixes.trials.cache", lambda: tmp_path)
    made = grouping(each_workspace, found)
    groups = chosen_files(found, None, only=["kernel/utsname.c"]).groups(made.groups)
    (first,) = try_groups(each_workspace, groups, made.diffs, made.declarations)
    (kept,) = tmp_path.rglob("trials/*/*")
    content = kept.read_bytes()
    kept.write_bytes(
        content[:-9] if damage == "truncated" else content.replace(b"utsname", b"other")
    )
    (again,) = try_groups(each_workspace, groups, made.diffs, made.declarations)
    assert again == first


def test_nothing_is_left(found: FixList, each_target: Target) -> None:
    chosen = chosen_files(found, None, only=["layout", "boot"])
    with pytest.raises(Refusal) as refused:
        build_fixes(each_target, found, chosen)
    assert refused.value.code == "no-fix-can-be-live"
    assert len(refused.value.evidence) == 2
    if each_target.release.startswith("6.1."):
        shows(refused.value, "no-fix-can-be-live")


def test_the_command_names_what_is_left_out(
    found: FixList, each_target: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["fixes", "--kernel", each_target.release, "--to", NEW, "--build", "--all"]
    page, module = tmp_path / "page.html", tmp_path / "all.ko"
    assert app.main([*command, "-o", str(module), "--report", str(page)]) == 0
    shown = capsys.readouterr().out
    assert "layout-changed" in shown
    assert "It has 2 of the 5 CVE fixes" in shown
    assert "timerfd_ctx" in page.read_text()
    assert app.main([*command, "-o", str(module), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["module"] == str(module)
    assert sum(one["live"] for one in document["groups"]) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--build"], "--modules"), (["--only", "netfilter"], "for --build")],
)
def test_wrong_usage(
    found: FixList,
    each_target: Target,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    command = ["fixes", "--kernel", each_target.release, "--to", NEW]
    assert app.main([*command, *words]) == 2
    assert said in capsys.readouterr().err
