# SPDX-License-Identifier: GPL-2.0-or-later
"""Applying patches to copies, and the shadow that the patched side is compiled in; GCC is the
witness."""

from __future__ import annotations

import difflib
import os
import subprocess
from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.formats.diff import PatchSource, parse
from suture.workspace.overlay import apply, shadow
from tests.examples import shows

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
    (change,) = apply(tree, patch_of({"fs/x.c": (ORIGINAL, changed)}))
    assert (change.path, change.old, change.new) == ("fs/x.c", ORIGINAL.encode(), changed.encode())
    assert contents(tree) == before


def test_patch_files_apply_one_after_the_other(tree: Path) -> None:
    second = ORIGINAL.replace("line 5\n", "second\n")
    third = second.replace("second\n", "third\n")
    one, two = patch_of({"fs/x.c": (ORIGINAL, second)}), patch_of({"fs/x.c": (second, third)})
    (change,) = apply(tree, PatchSource(one.files + two.files))
    assert change.new == third.encode()
    assert refused(tree, PatchSource(two.files + one.files)).code == "patch-does-not-apply"


def test_patches_that_undo_each_other_change_nothing(tree: Path) -> None:
    second = ORIGINAL.replace("line 5\n", "second\n")
    one, two = patch_of({"fs/x.c": (ORIGINAL, second)}), patch_of({"fs/x.c": (second, ORIGINAL)})
    assert apply(tree, PatchSource(one.files + two.files)) == ()


def test_a_new_file_has_no_original(tree: Path) -> None:
    text = b"--- /dev/null\n+++ b/fs/new/n.h\n@@ -0,0 +1,1 @@\n+int n;\n"
    (change,) = apply(tree, PatchSource((parse("fix.patch", text),)))
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
    (change,) = apply(
        tree, patch_of({"fs/x.c": (ORIGINAL, ORIGINAL.replace("line 15\n", "fifteen\n"))})
    )
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


def preprocess(root: Path, source: str) -> tuple[str, list[str]]:
    listed = root.parent / "listed"
    command = ["gcc", "-E", "-P", f"-Wp,-MMD,{listed}", "-I./include", source]
    out = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    return out, listed.read_text().partition(":")[2].replace("\\\n", " ").split()


def test_file_names_read_the_same_on_both_sides(tree: Path) -> None:
    (tree / "fs/x.c").write_text('__FILE__\n#include <linux/h.h>\n#include "deep/d.h"\n')
    (tree / "include/linux/h.h").write_text("__FILE__ old\n")
    (tree / "fs/deep/d.h").write_text("__FILE__\n")
    with shadow(tree, {"include/linux/h.h": b"__FILE__ new\n"}) as made:
        patched, _ = preprocess(made.root, "fs/x.c")
    original, _ = preprocess(tree, "fs/x.c")
    assert patched == original.replace("old", "new")


def test_the_shadow_is_gone_afterwards_and_the_tree_untouched(tree: Path) -> None:
    before = contents(tree)
    with shadow(tree, {"fs/x.c": b"new", "fs/added/n.h": b"new"}) as made:
        assert (made.root / "fs/x.c").read_bytes() == b"new"
        assert (made.root / "fs/added/n.h").read_bytes() == b"new"
        assert (made.root / "fs/y.c").read_text() == ORIGINAL
    assert contents(tree) == before
    assert not made.root.exists()


def test_a_header_reached_through_a_linked_directory_is_found_out(tree: Path) -> None:
    (tree / "net/n.c").write_text('#include "../fs/deep/d.h"\n')
    (tree / "fs/deep/d.h").write_text('#include "../common.h"\n')
    (tree / "fs/common.h").write_text("old\n")
    with shadow(tree, {"fs/common.h": b"new\n"}) as made:
        text, read = preprocess(made.root, "net/n.c")
        assert "old" in text, "the kernel follows the link before '..', and so leaves the shadow"
        escaped = made.escaped(read)
        assert [os.path.normpath(path) for path in escaped] == ["fs/common.h"]
        for path in escaped:
            made.materialise_towards(path)
        text, read = preprocess(made.root, "net/n.c")
        assert "new" in text
        assert made.escaped(read) == ()
