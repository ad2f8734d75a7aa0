# SPDX-License-Identifier: GPL-2.0-or-later
"""The names of a changed file, from diffs that diff(1) makes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from suture.fixes.kept_changes import FileDiff, split
from suture.fixes.names import ChangedNames

OLD = """\
static int counted(struct queue *q)
{
	return q->length; /* not twice() */
}

int queue_take(struct queue *q)
{
	spin_lock(&q->lock);
	return counted(q);
}
"""
NEW = OLD.replace("\tspin_lock(&q->lock);\n", "\tlockdep_assert_held(&q->lock);\n").replace(
    "q->length;", 'q->backlog; /* see also */ pr_info("never");'
)


@pytest.fixture
def trees(tmp_path: Path) -> Path:
    for side in ("a", "b"):
        (tmp_path / side).mkdir()
    return tmp_path


def changed(trees: Path, path: str, old: str, new: str) -> ChangedNames:
    (trees / "a" / path).write_text(old)
    (trees / "b" / path).write_text(new)
    return diff_of(trees, path).names(trees / "a")


def words(text: str) -> set[bytes]:
    return {word.encode() for word in re.findall(r"[a-z]+", text)}


def diff_of(trees: Path, path: str) -> FileDiff:
    made = subprocess.run(
        ["diff", "-ruN", f"a/{path}", f"b/{path}"],
        cwd=trees,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    ).stdout
    return FileDiff(path, f"diff -ruN a/{path} b/{path}\n{made}")


def test_the_names_that_come_and_go(trees: Path) -> None:
    found = changed(trees, "queue.c", OLD, NEW)
    assert found.brought == {b"backlog", b"lockdep_assert_held", b"pr_info"}
    assert found.taken == {b"length", b"spin_lock"}


def test_comments_and_texts_have_no_names(trees: Path) -> None:
    found = changed(trees, "queue.c", OLD, NEW)
    assert not {b"twice", b"also", b"never"} & (found.brought | found.taken | found.mentioned)


def test_the_functions_that_other_files_can_call(trees: Path) -> None:
    found = changed(trees, "queue.c", OLD, NEW)
    assert found.functions == {b"queue_take"}
    assert found.declares(b"queue_take")
    assert not found.declares(b"counted")


def test_a_header_may_declare_any_name(trees: Path) -> None:
    found = changed(trees, "queue.h", "struct queue;\n", "struct queue;\nint queue_take(void);\n")
    assert found.declares(b"queue_take")
    assert found.functions == frozenset()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", "int added;\n"),
        ("int gone;\n", ""),
        ("one\ntwo\nthree\n", "zero\none\nthree\n"),
        ("one\ntwo", "one\nlast"),
        ("first\n", "first\nend"),
    ],
)
def test_the_new_version_is_what_patch_makes(trees: Path, old: str, new: str) -> None:
    """Witness: GNU patch."""
    found = changed(trees, "file.c", old, new)
    diff = diff_of(trees, "file.c").text
    patched = trees / "a" / "file.c"
    subprocess.run(["patch", "-s", "-p1"], input=diff, text=True, cwd=trees / "a", check=True)
    now = patched.read_text() if patched.exists() else ""
    assert found.brought == words(now) - words(old)
    assert found.taken == words(old) - words(now)


def test_diffs_are_split_at_their_heads(trees: Path) -> None:
    texts = []
    for path in ("one.c", "two.c"):
        (trees / "a" / path).write_text("int x;\n")
        (trees / "b" / path).write_text("int y;\n")
        texts.append(diff_of(trees, path).text)
    assert [one.text for one in split("".join(texts))] == texts
