# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading unified diffs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.formats.diff import ChangeKind, Hunk, parse, read
from tests.examples import shows

HUNK = "@@ -1,3 +1,4 @@ int f(void)\n a\n-b\n+c\n+d\n e\n"


def diff(old: str, new: str, hunk: str = HUNK) -> bytes:
    return f"--- {old}\n+++ {new}\n{hunk}".encode()


def refused(data: bytes, strip: int | None = None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parse("fix.patch", data, strip)
    return caught.value


def test_a_modified_file_and_its_hunk() -> None:
    patch = parse("fix.patch", diff("a/fs/x.c", "b/fs/x.c"))
    (change,) = patch.changes
    assert (change.path, change.kind, change.hunks) == (
        "fs/x.c",
        ChangeKind.MODIFIED,
        (Hunk(1, 3, 1, 4),),
    )
    assert patch.strip == 1


@pytest.mark.parametrize(
    ("old", "new", "strip"),
    [
        ("a/fs/x.c", "b/fs/x.c", 1),
        ("linux-6.1.orig/fs/x.c", "linux-6.1/fs/x.c", 1),
        ("fs/x.c", "fs/x.c", 0),
        ("drivers/block/loop.c", "drivers/block/loop.c", 0),
        ("fs/x.c\t2024-01-01 00:00:00.0 +0000", "fs/x.c\t2024-01-02 00:00:00.0 +0000", 0),
        ("a/unknown/x.c", "b/unknown/x.c", 1),
    ],
)
def test_the_strip_level_is_found_out(old: str, new: str, strip: int) -> None:
    assert parse("fix.patch", diff(old, new)).strip == strip


def test_a_given_strip_level_is_taken() -> None:
    assert parse("fix.patch", diff("x/a/fs/x.c", "y/b/fs/x.c"), 2).changes[0].path == "fs/x.c"


def test_added_removed_and_renamed_files() -> None:
    rename = (
        b"diff --git a/fs/o.c b/fs/n.c\nsimilarity index 90%\nrename from fs/o.c\nrename to fs/n.c\n"
        + diff("a/fs/o.c", "b/fs/n.c")
    )
    added = diff("/dev/null", "b/fs/new.c", "@@ -0,0 +1,1 @@\n+x\n")
    removed = diff("a/fs/old.c", "/dev/null", "@@ -1,1 +0,0 @@\n-x\n")
    changes = parse("fix.patch", rename + added + removed).changes
    assert [(c.old_path, c.path, c.kind) for c in changes] == [
        ("fs/o.c", "fs/n.c", ChangeKind.RENAMED),
        ("fs/new.c", "fs/new.c", ChangeKind.ADDED),
        ("fs/old.c", "fs/old.c", ChangeKind.REMOVED),
    ]


def test_a_mail_with_headers_and_signature_is_a_patch() -> None:
    mail = b"From: A <a@b>\nSubject: [PATCH] fix\n\nText.\n---\n fs/x.c | 3 ++-\n\n" + diff(
        "a/fs/x.c", "b/fs/x.c"
    )
    assert [c.path for c in parse("fix.patch", mail + b"-- \n2.39.2\n\n").changes] == ["fs/x.c"]


def test_what_git_writes_is_read(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        identity = ["-c", "user.name=A", "-c", "user.email=a@b"]
        return subprocess.run(
            ["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout

    git("init", "-q")
    (tmp_path / "fs").mkdir()
    (tmp_path / "fs/x.c").write_text("a\nb\nc\n")
    git("add", ".")
    git("commit", "-qm", "one")
    (tmp_path / "fs/x.c").write_text("a\nB\nc\n")
    (tmp_path / "fs/y.h").write_text("y\n")
    git("add", ".")
    git("commit", "-qm", "two")
    patch = parse("fix.patch", git("format-patch", "-1", "--stdout").encode())
    assert [(c.path, c.kind) for c in patch.changes] == [
        ("fs/x.c", ChangeKind.MODIFIED),
        ("fs/y.h", ChangeKind.ADDED),
    ]


def test_a_change_of_mode_alone_is_no_change() -> None:
    mode = b"diff --git a/scripts/x.sh b/scripts/x.sh\nold mode 100644\nnew mode 100755\n"
    modified = b"diff --git a/fs/x.c b/fs/x.c\n" + diff("a/fs/x.c", "b/fs/x.c")
    assert [c.path for c in parse("fix.patch", mode + modified).changes] == ["fs/x.c"]


def test_files_are_read_in_the_order_given(tmp_path: Path) -> None:
    one, two = tmp_path / "1.patch", tmp_path / "2.patch"
    one.write_bytes(diff("a/fs/x.c", "b/fs/x.c"))
    two.write_bytes(diff("a/mm/y.c", "b/mm/y.c"))
    source = read([two, one])
    assert [file.name for file in source.files] == [str(two), str(one)]
    assert source.paths == ("fs/x.c", "mm/y.c")


def test_text_that_is_not_utf8_is_kept() -> None:
    hunk = "@@ -1,1 +1,1 @@\n-a\n+ö\n".encode("latin-1")
    data = b"--- a/fs/x.c\n+++ b/fs/x.c\n" + hunk
    assert parse("fix.patch", data).text == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"hello\n",
        b"\x7fELF\0\0",
        b"--- a/fs/x.c\n+++ b/fs/x.c\n",
        b"--- a/fs/x.c\n+++ b/fs/x.c\n@@ -1,9 +1,9 @@\n a\n-b\n",
        b"--- a/fs/x.c\n+++ b/fs/x.c\n@@ -1,1 +1,1 @@\n-a\n+b\n?\n@@ garbage\n@@ -5,2 +5,2 @@\n a\n",
        diff("/dev/null", "/dev/null"),
    ],
)
def test_what_is_no_patch_is_refused(data: bytes) -> None:
    assert refused(data).code == "not-a-patch"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:
        read([tmp_path / "none.patch"])
    assert caught.value.code == "file-unreadable"


@pytest.mark.parametrize(
    "body",
    [
        "GIT binary patch\nliteral 3\nKc${NkU|;|M00aO5\n\n",
        "Binary files a/x.bin and b/x.bin differ\n",
    ],
)
def test_a_binary_change_is_refused(body: str) -> None:
    data = f"diff --git a/x.bin b/x.bin\nindex 1..2 100644\n{body}".encode()
    assert refused(data + diff("a/fs/x.c", "b/fs/x.c")).code == "patch-has-binary"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a/../etc/passwd", "b/../etc/passwd"),
        ("/etc/passwd", "/etc/passwd"),
        ("a/fs/../../x.c", "b/fs/../../x.c"),
        ("a//etc/./passwd", "b//etc/./passwd"),
        ('"a/fs/\\303.c"', '"b/fs/\\303.c"'),
    ],
)
def test_a_path_out_of_the_tree_is_refused(old: str, new: str) -> None:
    refusal = refused(diff(old, new), 0 if old.startswith("/") else None)
    assert refusal.code == "patch-path-escapes"


def test_stripping_too_much_is_refused() -> None:
    assert refused(diff("a/fs/x.c", "b/fs/x.c"), 3).code == "patch-path-escapes"


def test_a_symbolic_link_is_refused() -> None:
    link = b"diff --git a/fs/l b/fs/l\nnew file mode 120000\n" + diff(
        "/dev/null", "b/fs/l", "@@ -0,0 +1 @@\n+/etc\n"
    )
    assert refused(link).code == "patch-path-escapes"


def test_dos_line_ends_are_refused() -> None:
    shows(refused(diff("a/fs/x.c", "b/fs/x.c").replace(b"\n", b"\r\n")), "patch-has-crlf")
