# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of the very commits, from a clone that git makes here."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.fixes.commits import with_commits
from suture.fixes.listing import ChangedFile, FixList, ListedFix
from suture.fixes.matching import Certainty
from tests.examples import shows


def fix(title: str, *files: str) -> ListedFix:
    return ListedFix(title, "6.1.177-1", (), (), Certainty.LIKELY, files, ())


FILES = tuple(ChangedFile(path, 1, 1, (), ("vmlinux",)) for path in ("a.c", "b.c", "include/a.h"))
FIXES = (
    fix("mm: mend a", "a.c", "b.c"),
    fix("net: mend b and a", "b.c"),
    fix("[x86] Debian's own", "a.c"),
    fix("twice"),
    fix("no code"),
    fix("before"),
)
LIST = FixList("6.1.0-50-amd64", "6.1.176-1", "6.1.177-1~deb12u1", FIXES, FILES)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    tree = tmp_path / "linux"
    tree.mkdir()

    def git(*words: str) -> None:
        names = {
            "GIT_AUTHOR_NAME": "A",
            "GIT_AUTHOR_EMAIL": "a@b",
            "GIT_CONFIG_GLOBAL": "/dev/null",
        }
        names |= {"GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@b"}
        subprocess.run(
            ["git", "-C", tree, *words],
            check=True,
            capture_output=True,
            env={**os.environ, **names},
        )

    def commit(title: str, content: str, *names: str) -> None:
        for name in names:
            path = tree / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
        git("add", "-A")
        git("commit", "-q", "-m", title, "--allow-empty")

    git("init", "-q")
    commit("before", "1", "a.c", "b.c")
    git("tag", "v6.1.176")
    commit("mm: mend a", "2", "a.c")
    commit("net: mend  b and a\n\ntext", "2", "b.c", "include/a.h")
    commit("twice", "3", "a.c")
    commit("twice", "3", "b.c")
    commit("no code", "3", "Makefile")
    git("tag", "v6.1.177")
    commit("after", "4", "a.c")
    return tree


def test_entries_get_the_files_of_their_commits(clone: Path) -> None:
    found = with_commits(LIST, clone)
    assert [(one.certainty, one.files) for one in found.fixes] == [
        (Certainty.COMMIT, ("a.c",)),
        (Certainty.COMMIT, ("b.c", "include/a.h")),
        (Certainty.LIKELY, ("a.c",)),
        (Certainty.COMMIT, ("a.c", "b.c")),
        (Certainty.COMMIT, ()),
        (Certainty.LIKELY, ()),
    ], "not of commits before, and of two with one title both"
    assert found.fixes[0].certainty.is_sure
    assert found.objects_of(found.fixes[0]) == ("vmlinux",)


@pytest.mark.parametrize("old", ["6.1.175-1", "6.1.178~rc1-1", "none"])
def test_a_clone_without_a_version_is_refused(old: str, clone: Path) -> None:
    with pytest.raises(Refusal) as caught:
        with_commits(replace(LIST, old=old), clone)
    assert caught.value.code == "version-not-in-clone"
    if old == "6.1.175-1":
        shows(caught.value, "version-not-in-clone")


def test_what_is_no_repository_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(Refusal) as caught:
            with_commits(LIST, path)
        assert caught.value.code == "commit-unknown"
