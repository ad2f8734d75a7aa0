# SPDX-License-Identifier: GPL-2.0-or-later
"""Commits of a repository as patches; git applies them again."""

from __future__ import annotations

from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.formats.commits import commits
from suture.formats.diff import parse
from tests.examples import shows
from tests.repository import Repository


class Made(Repository):
    """A repository with three commits."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.ids = [
            self.changed("fs: begin", "fs/x.c", "int a;\n"),
            self.changed("net: mend x", "net/x.c", "int n;\n"),
            self.changed("fs: mend x", "fs/x.c", "int b;\n"),
        ]

    def changed(self, title: str, path: str, text: str) -> str:
        self.write(path, text)
        return self.commit(title)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path / "repository")


def refused(root: Path, revision: str, *paths: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        commits(root, revision, paths)
    return caught.value


def titles(root: Path, revision: str, *paths: str) -> list[str]:
    files = [parse("mail", one.mail) for one in commits(root, revision, paths)]
    return [fix.title for file in files for fix in file.fixes]


def test_a_commit(made: Made) -> None:
    (commit,) = commits(made.root, made.ids[2][:12])
    assert commit.id == made.ids[2]
    (change,) = parse("mail", commit.mail).changes
    before, after = (made.git("rev-parse", f"{one}:fs/x.c").strip() for one in ("HEAD~1", "HEAD"))
    assert (change.path, change.blobs) == ("fs/x.c", (before, after))


def test_a_range_in_order_and_the_first_commit_of_all(made: Made) -> None:
    assert titles(made.root, f"{made.ids[0]}..") == ["net: mend x", "fs: mend x"]
    assert titles(made.root, made.ids[0]) == ["fs: begin"]


def test_paths_limit_a_range(made: Made) -> None:
    assert titles(made.root, f"{made.ids[0]}..HEAD", "fs") == ["fs: mend x"]


def test_a_commit_that_changes_nothing_there_is_refused(made: Made) -> None:
    # 'git format-patch -1 HEAD net' would take an older commit, which changes net.
    refusal = refused(made.root, "HEAD", "net")
    assert (refusal.code, refusal.found) == ("commit-unknown", "changes no file among net")


def test_what_is_not_there(made: Made, tmp_path: Path) -> None:
    refusal = refused(made.root, "1da177e4c3f4")
    shows(refusal, "commit-unknown")
    assert refused(tmp_path / "none", "HEAD").code == "commit-unknown"
    assert refused(made.root, "HEAD..HEAD").found == "holds no commit"
    assert refused(made.root, "--output=stolen").code == "commit-unknown"
    assert not (made.root / "stolen").exists()


def test_a_merge_is_refused(made: Made) -> None:
    made.git("checkout", "-q", "-b", "side", "HEAD~1")
    made.changed("net: more", "net/y.c", "int y;\n")
    made.git("checkout", "-q", "main")
    made.git("merge", "-q", "--no-ff", "-m", "merge side", "side")
    shows(refused(made.root, "HEAD"), "commit-is-a-merge")
    assert refused(made.root, "HEAD~2..HEAD").code == "commit-is-a-merge"


def test_the_users_settings_for_diffs_do_not_count(made: Made) -> None:
    for setting in ("diff.noprefix", "diff.mnemonicPrefix", "format.signOff", "format.attach"):
        made.git("config", setting, "true")
    made.git("config", "color.ui", "always")
    (commit,) = commits(made.root, "HEAD")
    assert b"--- a/fs/x.c\n+++ b/fs/x.c\n" in commit.mail


def test_another_repository_in_the_environment_is_not_asked(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "none"))
    assert titles(made.root, "HEAD") == ["fs: mend x"]


def test_a_range_that_is_a_slip_is_refused(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suture.formats.commits.MOST", 1)
    found = refused(made.root, f"{made.ids[0]}..HEAD").found
    assert found == "has 2 commits; a live patch takes up to 1"
