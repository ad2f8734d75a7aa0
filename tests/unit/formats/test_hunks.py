# SPDX-License-Identifier: GPL-2.0-or-later
"""Damaged hunks are named by their line; GNU patch and git are the witnesses of what is whole."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.formats.diff import parse

FILE = ["int a;\n", "int b;\n", "\n", "int c;\n", "int d;\n"]
HEAD = "--- a/fs/x.c\n+++ b/fs/x.c\n"
HUNK = "@@ -1,5 +1,6 @@\n int a;\n int b;\n+int new;\n \n int c;\n int d;\n"
WHOLE = HEAD + HUNK


def refused(text: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parse("fix.patch", text.encode())
    assert caught.value.code == "not-a-patch"
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        WHOLE,
        WHOLE.replace("\n \n", "\n\n"),  # an editor took the blank away
        f"{WHOLE}-- \n2.39.5\n",
        f"{WHOLE}\nSome words behind it.\n",
        f"{HEAD}@@ -1 +1 @@\n-int a;\n+int z;\n",
        f"{HEAD}@@ -5 +5 @@\n-int d;\n+int z;\n\\ No newline at end of file\n",
    ],
)
def test_what_patch_takes_is_whole(text: str, tmp_path: Path) -> None:
    (tmp_path / "fs").mkdir()
    (tmp_path / "fs/x.c").write_text("".join(FILE))
    command = ["patch", "-p1", "--fuzz=0", "--dry-run"]
    subprocess.run(command, cwd=tmp_path, input=text, text=True, check=True, capture_output=True)
    assert [change.path for change in parse("fix.patch", text.encode()).changes] == ["fs/x.c"]


def test_several_files_without_a_line_between_them() -> None:
    text = WHOLE + WHOLE.replace("x.c", "y.c")
    assert [one.path for one in parse("fix.patch", text.encode()).changes] == ["fs/x.c", "fs/y.c"]


def test_a_line_that_was_taken_away() -> None:
    refusal = refused(WHOLE.replace(" int b;\n", ""))
    assert refusal.where == "fix.patch:3"
    assert refusal.found.endswith(
        "announces 5 lines before and 6 after the change, and has 4 and 5"
    )
    assert refusal.evidence == ("the file ends there",)


def test_a_line_that_was_taken_away_before_another_file() -> None:
    refusal = refused(WHOLE.replace(" int b;\n", "") + WHOLE.replace("x.c", "y.c"))
    assert (refusal.where, refusal.evidence) == ("fix.patch:3", ("line 9: --- a/fs/y.c",))


@pytest.mark.parametrize("line", ["+int more;\n", "-int more;\n", " int more;\n"])
def test_a_line_that_was_added_is_not_left_out(line: str) -> None:
    refusal = refused(WHOLE + line)
    assert refusal.where == "fix.patch:3"
    assert refusal.found.endswith("and has more")
    assert refusal.evidence == (f"line 10: {line.rstrip()}",)


def test_a_line_that_a_mail_program_broke() -> None:
    refusal = refused(WHOLE.replace("+int new;\n", "+int\nnew;\n"))
    assert (refusal.where, refusal.evidence) == ("fix.patch:3", ("line 7: new;",))
    assert "Mail programs break long lines" in refusal.remedy


def test_the_second_hunk_of_the_second_file_is_named_by_its_line() -> None:
    second = HEAD.replace("x.c", "y.c") + HUNK + HUNK.replace("-1,5 +1,6", "-11,5 +12,7")
    refusal = refused(WHOLE + second)
    assert refusal.where == "fix.patch:19"
    assert "the hunk of b/fs/y.c announces 5 lines before and 7 after" in refusal.found


def test_hunks_behind_other_lines_of_a_mail_are_found() -> None:
    text = f"From: a@example.org\nSubject: x\n\nSome text.\n---\n fs/x.c | 1 +\n\n{WHOLE}"
    number = text[: text.index("@@")].count("\n") + 1
    assert refused(re.sub(r" int d;\n", "", text)).where == f"fix.patch:{number}"
