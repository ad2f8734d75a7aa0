# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports: on a module that is built here, on one of the kernel's own, on a build that is
refused."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

from suture.report import html
from suture.report.content import FunctionRole, Mark, Origin, PatchReport
from suture.workspace.prepare import Workspace
from tests.command import Place
from tests.lab.modules import build
from tests.patches import Edit, diff
from tests.repository import Repository

WIDTH = Edit(
    "fs/proc/meminfo.c",
    "\tseq_put_decimal_ull_width(m, s, num << (PAGE_SHIFT - 10), 8);",
    "\tseq_put_decimal_ull_width(m, s, num << (PAGE_SHIFT - 10), 9);",
)
"""In show_val_kb(), which the compiler builds into meminfo_proc_show()."""

GOAL = Edit(
    "fs/udf/balloc.c",
    "\tif (map->s_partition_flags & UDF_PART_FLAG_UNALLOC_BITMAP)\n\t\tblock = udf_bitmap_new_block(sb,",
    "\tif (!goal)\n\t\tgoal = 1;\n\tif (map->s_partition_flags & UDF_PART_FLAG_UNALLOC_BITMAP)\n"
    "\t\tblock = udf_bitmap_new_block(sb,",
)
"""In udf_new_block(), which has no fentry call."""

EQUAL = (Mark.SAME, Mark.SKIPPED)

HEAD = """\
From 1da177e4c3f41524e886b7f1b8a0c1fc7321cac2 Mon Sep 17 00:00:00 2001
From: Jane Doe <jane@example.org>
Date: Mon, 1 Jun 2026 10:00:00 +0200
Subject: [PATCH] proc: give numbers <one> column more

It closes CVE-2026-12345.

Fixes: 1da177e4c3f4 ("Linux-2.6.12-rc2")
Link: https://lore.kernel.org/r/1
---
"""


def read(path: Path) -> PatchReport:
    report = html.read(path.read_bytes())
    assert report is not None
    return report


def test_a_build_reports_what_changes_and_why_and_the_proof(
    place: Place, workspace: Workspace
) -> None:
    patch = place.patch(HEAD + diff(workspace.tree, WIDTH, GOAL))
    done = place.run(*place.build(patch, "-o", "fix.ko", "--report", "fix.html", "--json"))
    assert done.returncode == 0, done.stderr
    report = read(place.directory / "fix.html")
    document = json.loads(done.stdout)["report"]
    assert document["verdict"]["fits"] is True
    assert report.origin is Origin.BUILT
    (fix,) = report.fixes
    assert (fix.title, fix.cves) == ("proc: give numbers <one> column more", ("CVE-2026-12345",))

    functions = {one.name: one for one in report.functions}
    inlined = functions["meminfo_proc_show"]
    assert "show_val_kb of fs/proc/meminfo.c" in inlined.reason
    assert [report.hunks[number].inside for number in inlined.hunks] == [("show_val_kb",)]
    changed = [row for row in inlined.rows if row.mark is Mark.CHANGED]
    assert all("mov $8,%ecx" in row.before and "mov $9,%ecx" in row.after for row in changed)
    assert len(changed) > 10
    carried = functions["udf_new_block"]
    assert carried.role is FunctionRole.CARRIED
    assert "no fentry call" in carried.reason
    assert "It calls udf_new_block()" in functions["udf_symlink"].reason

    proved = {(one.objname, one.function): one for one in report.proofs}
    symbols = place.target.kallsyms.read_text().splitlines()
    address = next(line.split()[0] for line in symbols if line.endswith(" meminfo_proc_show"))
    row = proved["vmlinux", "meminfo_proc_show"]
    assert int(row.address, 16) == int(address, 16)
    assert '"MemTotal:       "' in row.refers_to
    assert ("udf", "udf_new_block") in proved
    for one in report.functions:
        if one.role is FunctionRole.REPLACED:
            assert (one.objname, one.name) in proved

    reached = {one.name: one for one in report.symbols}
    assert (reached["vm_commit_limit"].how, reached["vm_commit_limit"].places) == ("livepatch", 1)
    assert reached["udf_next_aext"].resolved_with == "udf"
    assert reached["seq_write"].how == "export"
    undefined = subprocess.run(
        ["nm", "-u", place.directory / "fix.ko"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {name for name in undefined if len(name) > 1} <= {
        one.detail if one.how == "livepatch" else one.name for one in report.symbols
    }
    hashes = {(one.role, one.sha256) for one in report.files}
    for role, path in (("module", place.directory / "fix.ko"), ("input", patch)):
        assert (role, hashlib.sha256(path.read_bytes()).hexdigest()) in hashes

    done = place.run("verify", "fix.ko", "--kernel", place.target.release, "--report", "other.html")
    assert done.returncode == 0, done.stderr
    verified = {one.name: one for one in read(place.directory / "other.html").functions}
    differs = [row for row in verified["udf_symlink"].rows if row.mark not in EQUAL]
    assert [(row.before.split()[1:], row.after.split()[1:]) for row in differs] == [
        (["call", "udf_new_block"], ["call", "udf_new_block", "of", "the", "module"])
    ]


def test_a_report_for_mails_and_one_for_programs(place: Place, workspace: Workspace) -> None:
    patch = place.patch(HEAD + diff(workspace.tree, WIDTH))
    for name in ("fix.md", "fix.json"):
        done = place.run(*place.build(patch, "--report", name))
        assert done.returncode == 0, done.stderr
    text = (place.directory / "fix.md").read_text()
    assert text.startswith("# proc: give numbers \\<one\\> column more\n")
    assert json.loads((place.directory / "fix.json").read_text())["verdict"]["fits"] is True


def test_a_refused_build_reports_the_refusal(place: Place, workspace: Workspace) -> None:
    edit = Edit("fs/proc/kcore.c", "int kcore_need_update = 1;", "int kcore_need_update = 2;")
    patch = place.patch(diff(workspace.tree, edit))
    done = place.run(*place.build(patch, "--report", "fix.html"))
    assert done.returncode == 1
    report = read(place.directory / "fix.html")
    assert report.origin is Origin.REFUSED
    assert [one.code for one in report.verdict.problems] == ["data-changed"]
    assert not report.verdict.fits


def test_a_path_in_a_repository_is_no_input_of_a_refused_build(
    place: Place, workspace: Workspace
) -> None:
    repository = Repository(place.directory / "repository")
    repository.write("fs/x.c", "int a;\n")
    repository.commit("fs: begin")
    place.patch("not what is built", "fs")
    words = ("--git", "repository", "HEAD", "fs", "--report", "fix.html")
    assert place.run(*place.build(*words)).returncode == 1
    report = read(place.directory / "fix.html")
    assert (report.origin, report.files) == (Origin.REFUSED, ())


def test_a_report_that_has_no_form_is_refused_before_the_build(
    place: Place, workspace: Workspace
) -> None:
    patch = place.patch(diff(workspace.tree, WIDTH))
    refusal = place.refused(*place.build(patch, "--report", "fix.pdf"))
    assert refusal.code == "report-form-unknown"


def test_a_module_of_the_kernels_own_is_verified(
    place: Place, workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "sample").mkdir()
    sample = build(workspace, tmp_path / "sample", {}, ["samples/livepatch/livepatch-sample.c"])
    path = place.directory / "sample.ko"
    path.write_bytes(sample["livepatch_sample"])
    words = ("verify", "sample.ko", "--kernel", place.target.release)
    done = place.run(*words, "--report", "sample.html", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = read(place.directory / "sample.html")
    assert json.loads(done.stdout)["verdict"]["fits"] is True
    (check,) = report.checks
    assert (check.function, check.prototype) == ("cmdline_proc_show", "same")
    assert report.proofs == ()
    assert any("source without the patch" in text for text in report.verdict.not_shown)

    path.write_bytes(path.read_bytes().replace(b"cmdline_proc_show\0", b"cmdline_proc_shew\0"))
    done = place.run(*words, "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["verdict"]["fits"] is False
    assert [one["code"] for one in document["verdict"]["problems"]] == ["function-not-in-kernel"]
    assert done.stderr == ""
