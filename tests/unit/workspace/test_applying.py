# SPDX-License-Identifier: GPL-2.0-or-later
"""Applying patches to copies."""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.formats.commits import commits
from suture.formats.diff import PatchSource, parse
from suture.workspace.applying import apply
from tests.examples import shows
from tests.repository import Repository

ORIGINAL = "".join(f"line {number}\n" for number in range(1, 31))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "pristine"
    for directory in ("fs/deep", "include/linux", "net"):
        (root / directory).mkdir(parents=True)
    (root / "fs/x.c").write_text(ORIGINAL)
    (root / "fs/y.c").write_text(ORIGINAL)
    return root


def patch_of(changes: dict[str, tuple[str, str]], name: str = "fix.patch") -> PatchSource:
    text = ""
    for path, (old, new) in changes.items():
        sides = old.splitlines(keepends=True), new.splitlines(keepends=True)
        text += "".join(difflib.unified_diff(sides[0], sides[1], f"a/{path}", f"b/{path}"))
    return PatchSource((parse(name, text.encode()),))


def refused(tree: Path, patch: PatchSource) -> Refusal:
    before = contents(tree)
    with pytest.raises(Refusal) as caught:
        apply(tree, patch)
    assert contents(tree) == before
    return caught.value


def contents(tree: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in tree.rglob("*") if path.is_file()}


def test_the_result_is_given_and_the_tree_left_alone(tree: Path) -> None:
    before = contents(tree)
    changed = ORIGINAL.replace("line 5\n", "LINE 5\n")
    (change,) = apply(tree, patch_of({"fs/x.c": (ORIGINAL, changed)})).changes
    assert (change.path, change.old, change.new) == ("fs/x.c", ORIGINAL.encode(), changed.encode())
    assert contents(tree) == before


def test_patch_files_apply_one_after_the_other(tree: Path) -> None:
    second = ORIGINAL.replace("line 5\n", "second\n")
    third = second.replace("second\n", "third\n")
    one, two = patch_of({"fs/x.c": (ORIGINAL, second)}), patch_of({"fs/x.c": (second, third)})
    (change,) = apply(tree, PatchSource(one.files + two.files)).changes
    assert change.new == third.encode()
    assert refused(tree, PatchSource(two.files + one.files)).code == "patch-does-not-apply"


def test_patches_that_undo_each_other_change_nothing(tree: Path) -> None:
    second = ORIGINAL.replace("line 5\n", "second\n")
    one, two = patch_of({"fs/x.c": (ORIGINAL, second)}), patch_of({"fs/x.c": (second, ORIGINAL)})
    assert apply(tree, PatchSource(one.files + two.files)).changes == ()


def test_a_new_file_has_no_original(tree: Path) -> None:
    text = b"--- /dev/null\n+++ b/fs/new/n.h\n@@ -0,0 +1,1 @@\n+int n;\n"
    (change,) = apply(tree, PatchSource((parse("fix.patch", text),))).changes
    assert (change.path, change.old, change.new) == ("fs/new/n.h", None, b"int n;\n")


def test_a_failing_hunk_is_named_with_both_texts(tree: Path) -> None:
    other = ORIGINAL.replace("line 20\n", "something else\n")
    patch = patch_of(
        {
            "fs/y.c": (ORIGINAL, ORIGINAL.replace("line 5\n", "five\n")),
            "fs/x.c": (
                other,
                other.replace("line 5\n", "five\n").replace("line 21\n", "twenty-one\n"),
            ),
        }
    )
    refusal = refused(tree, patch)
    shows(refusal, "patch-does-not-apply")
    assert refusal.found == "hunk 2 of fs/x.c fails at line 18"
    assert [line.strip() for line in refusal.evidence[-4:]] == [
        "line 20 of the target:",
        "line 20",
        "where the patch expects:",
        "something else",
    ]


def test_context_must_match_without_fuzz(tree: Path) -> None:
    other = ORIGINAL.replace("line 2\n", "outer context\n")
    refusal = refused(tree, patch_of({"fs/x.c": (other, other.replace("line 5\n", "five\n"))}))
    assert refusal.code == "patch-does-not-apply"


def test_a_hunk_may_have_moved(tree: Path) -> None:
    moved = "new first line\n" + ORIGINAL
    (tree / "fs/x.c").write_text(moved)
    fifteen = ORIGINAL.replace("line 15\n", "fifteen\n")
    applied = apply(tree, patch_of({"fs/x.c": (ORIGINAL, fifteen)}))
    (change,) = applied.changes
    assert applied.adapted == ()
    assert change.new == moved.replace("line 15\n", "fifteen\n").encode()


def test_a_patch_that_is_in_already_is_told_from_one_that_does_not_fit(tree: Path) -> None:
    older = ORIGINAL.replace("line 5\n", "before the fix\n")
    shows(refused(tree, patch_of({"fs/x.c": (older, ORIGINAL)})), "patch-already-applied")


def test_a_file_that_the_target_does_not_have(tree: Path) -> None:
    refusal = refused(tree, patch_of({"fs/none.c": ("a\n", "b\n")}))
    assert refusal.code == "patch-does-not-apply"
    assert "fs/none.c" in refusal.found


def test_a_new_file_that_is_there_already(tree: Path) -> None:
    text = b"--- /dev/null\n+++ b/fs/x.c\n@@ -0,0 +1,1 @@\n+int n;\n"
    assert refused(tree, PatchSource((parse("fix.patch", text),))).code == "patch-does-not-apply"


def test_a_symbolic_link_is_not_followed_out_of_the_tree(tree: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.c").write_text(ORIGINAL)
    (tree / "link").symlink_to(outside)
    refusal = refused(tree, patch_of({"link/x.c": (ORIGINAL, "")}))
    assert refusal.code == "patch-path-escapes"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("--- a/fs/x.c\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-line 1\n", "source-removed"),
        (
            "diff --git a/fs/x.c b/fs/z.c\nsimilarity index 100%\nrename from fs/x.c\nrename to fs/z.c\n",
            "source-renamed",
        ),
    ],
)
def test_code_that_goes_away_is_refused(tree: Path, text: str, code: str) -> None:
    shows(refused(tree, PatchSource((parse("fix.patch", text.encode()),))), code)


OUTER = ORIGINAL.replace("line 2\n", "outer context\n")


def test_with_fuzz_the_outermost_context_may_differ_and_the_outcome_is_shown(tree: Path) -> None:
    patch = patch_of({"fs/x.c": (OUTER, OUTER.replace("line 5\n", "five\n"))})
    applied = apply(tree, replace(patch, fuzz=2))
    (change,) = applied.changes
    assert change.new == ORIGINAL.replace("line 5\n", "five\n").encode()
    (adapted,) = applied.adapted
    assert (adapted.name, adapted.how) == ("fix.patch", "with fuzz 1")
    shown = patch_of({"fs/x.c": (ORIGINAL, change.new.decode())})
    assert adapted.diff.encode() == shown.files[0].text


def test_fuzz_is_not_used_where_all_context_matches(tree: Path) -> None:
    patch = patch_of({"fs/x.c": (ORIGINAL, ORIGINAL.replace("line 5\n", "five\n"))})
    assert apply(tree, replace(patch, fuzz=3)).adapted == ()


def test_what_is_in_already_is_not_put_in_twice_by_fuzz(tree: Path) -> None:
    older = ORIGINAL.replace("line 5\n", "")
    patch = replace(patch_of({"fs/x.c": (older, ORIGINAL)}), fuzz=3)
    assert refused(tree, patch).code == "patch-already-applied"


def test_fuzz_too_small_is_refused(tree: Path) -> None:
    inner = ORIGINAL.replace("line 4\n", "inner context\n")
    patch = patch_of({"fs/x.c": (inner, inner.replace("line 5\n", "five\n"))})
    assert refused(tree, replace(patch, fuzz=2)).code == "patch-does-not-apply"


def changed(repository: Repository, text: str) -> None:
    repository.write("fs/x.c", text)
    repository.commit("change fs/x.c")


def patch_at_head(repository: Repository) -> PatchSource:
    (commit,) = commits(repository.root, "HEAD")
    return PatchSource((parse("a commit", commit.mail),), repository=repository.root)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


def test_a_commit_is_merged_with_the_targets_source(tree: Path, repository: Repository) -> None:
    newer = ORIGINAL.replace("line 6\n", "line 6, renamed since\n")
    newer = newer.replace("line 9\n", "line 9 a\nline 9 b\n")
    changed(repository, newer)
    changed(repository, newer.replace("line 7\nline 8\n", "seven\neight\n"))
    patch = patch_at_head(repository)
    assert refused(tree, replace(patch, repository=None)).code == "patch-does-not-apply"
    (tree / "fs/x.c").write_text(ORIGINAL.replace("line 1\n", "the target's first line\n"))
    with pytest.raises(Refusal) as conflict:
        apply(tree, patch)
    shows(conflict.value, "merge-conflict")
    assert "line 6, renamed since" in "\n".join(conflict.value.evidence)


def test_a_merge_carries_the_change_over(tree: Path, repository: Repository) -> None:
    newer = ORIGINAL.replace("line 8\n", "line 8, renamed since\n")
    changed(repository, newer)
    changed(repository, newer.replace("line 5\n", "five\n"))
    applied = apply(tree, patch_at_head(repository))
    (change,) = applied.changes
    assert change.new == ORIGINAL.replace("line 5\n", "five\n").encode()
    assert [one.how for one in applied.adapted] == ["by a three-way merge"]


def test_a_merge_that_changes_nothing_is_in_already(tree: Path, repository: Repository) -> None:
    newer = ORIGINAL.replace("line 8\n", "line 8, renamed since\n")
    changed(repository, newer)
    changed(repository, newer.replace("line 5\n", "five\n"))
    (tree / "fs/x.c").write_text(ORIGINAL.replace("line 5\n", "five\n"))
    assert refused(tree, patch_at_head(repository)).code == "patch-already-applied"


def test_a_diff_that_names_no_blobs_is_not_merged(tree: Path, repository: Repository) -> None:
    patch = patch_of({"fs/x.c": (OUTER, OUTER.replace("line 5\n", "five\n"))})
    refusal = refused(tree, replace(patch, repository=repository.root))
    assert (refusal.code, "names no blobs" in refusal.found) == ("merge-conflict", True)
