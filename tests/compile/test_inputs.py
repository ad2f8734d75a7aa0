# SPDX-License-Identifier: GPL-2.0-or-later
"""One change, given in every way, is one live patch; and patches that have to be adapted."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from suture.workspace.prepare import Workspace
from tests.command import Place, command
from tests.patches import Edit, diff
from tests.repository import Repository
from tests.web import served

VERSION = Edit(
    "fs/proc/version.c",
    "\tseq_printf(m, linux_proc_banner,",
    '\tseq_puts(m, "one ");\n\tseq_printf(m, linux_proc_banner,',
)
CMDLINE = Edit("fs/proc/cmdline.c", "\tseq_putc(m, '\\n');", '\tseq_puts(m, " two\\n");')
NOT_BUILT = Edit(
    "fs/proc/task_nommu.c", "static int show_map(", "int suture_test;\nstatic int show_map("
)


class Edited(Repository):
    """A repository with the files that two commits change, as they are in the target."""

    def __init__(self, root: Path, tree: Path) -> None:
        super().__init__(root)
        for edit in (VERSION, CMDLINE):
            self.write(edit.path, (tree / edit.path).read_bytes())
        self.commit("the target")
        for edit in (VERSION, CMDLINE):
            self.edit(edit)
            self.commit(f"proc: change {Path(edit.path).stem}")

    def edit(self, edit: Edit) -> None:
        text = (self.root / edit.path).read_text()
        assert text.count(edit.old) == 1
        self.write(edit.path, text.replace(edit.old, edit.new))


@pytest.fixture
def repository(workspace: Workspace, tmp_path: Path) -> Edited:
    return Edited(tmp_path / "repository", workspace.tree)


def built(place: Place, *words: str | Path, stdin: str = "") -> dict[str, Any]:
    finished = subprocess.run(
        [*command(*place.build(*words, "--json"))],
        cwd=place.directory,
        env=place.environment,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    document = json.loads(finished.stdout)
    assert isinstance(document, dict)
    return document


def test_a_series_is_one_live_patch_however_it_is_given(place: Place, repository: Edited) -> None:
    mailbox = repository.git("format-patch", "--stdout", "HEAD~2")
    directory = place.directory / "series"
    repository.git("format-patch", "-q", "-o", str(directory), "--cover-letter", "HEAD~2")
    place.patch(mailbox, "series.mbox")
    of_file = built(place, "series.mbox")
    assert [one["name"] for one in of_file["objects"]] == ["vmlinux"]
    with served(place.directory) as address:
        of_address = built(place, f"{address}/series.mbox")
    others = (
        of_address,
        built(place, "-", stdin=mailbox),
        built(place, "series"),
        built(place, "--git", repository.root, "HEAD~2.."),
    )
    for document in others:
        for key in ("name", "objects", "references"):
            assert document[key] == of_file[key]
        assert document["adapted"] == []


def test_paths_limit_what_is_taken_of_a_repository(place: Place, repository: Edited) -> None:
    document = built(place, "--git", repository.root, "HEAD~2..", CMDLINE.path)
    (vmlinux,) = document["objects"]
    assert [one["old_name"] for one in vmlinux["functions"]] == ["cmdline_proc_show"]


def test_a_file_that_is_not_built_is_left_out_where_others_remain(
    place: Place, workspace: Workspace
) -> None:
    place.patch(diff(workspace.tree, VERSION, NOT_BUILT))
    document = built(place, "my.patch")
    why = f"{place.target.release} is built without it"
    left_out = {"source": NOT_BUILT.path, "what": "all of it", "why": why}
    assert document["left_out"] == [left_out]
    plain = place.run(*place.build("my.patch"))
    assert f"leaves out {NOT_BUILT.path}: all of it: {why}" in plain.stdout


def test_fuzz_is_asked_for_and_its_outcome_is_shown(place: Place, workspace: Workspace) -> None:
    wanted = diff(workspace.tree, VERSION)
    place.patch(wanted.replace("\n static int version_proc_show(", "\n static int other_name("))
    refusal = place.refused(*place.build("my.patch"))
    assert refusal.code == "patch-does-not-apply"
    assert "--fuzz" in refusal.remedy
    document = built(place, "my.patch", "--fuzz", "2")
    (adapted,) = document["adapted"]
    assert (adapted["name"], adapted["how"], adapted["diff"]) == ("my.patch", "with fuzz 2", wanted)


def test_a_commit_is_carried_over_by_a_merge(place: Place, repository: Edited) -> None:
    repository.git("checkout", "-q", "HEAD~2")
    repository.edit(Edit(VERSION.path, "()->release,", "()->release, /* a later version */"))
    repository.commit("proc: something else before it")
    repository.edit(VERSION)
    repository.commit("proc: change version")
    words = ("--git", repository.root, "HEAD")
    refusal = place.refused(*place.build(*words))
    assert (refusal.code, "--3way" in refusal.remedy) == ("patch-does-not-apply", True)
    document = built(place, *words, "--3way")
    (adapted,) = document["adapted"]
    assert adapted["how"] == "by a three-way merge"
    assert "a later version" not in adapted["diff"]
    (vmlinux,) = document["objects"]
    assert [one["old_name"] for one in vmlinux["functions"]] == ["version_proc_show"]


def test_a_merge_needs_a_repository(place: Place) -> None:
    place.patch("")
    finished = place.run(*place.build("my.patch", "--3way"))
    assert finished.returncode == 2
    assert "--git" in finished.stderr
