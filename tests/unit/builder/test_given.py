# SPDX-License-Identifier: GPL-2.0-or-later
"""What an author gives, as files."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from suture.builder.given import brought, directory_of_modules
from suture.builder.inputs import gathered
from suture.errors import Refusal
from suture.host.pipes import kept
from tests.repository import Repository

PATCH = "--- a/fs/x.c\n+++ b/fs/x.c\n@@ -1 +1 @@\n-int a;\n+int b;\n"
MAIL = f"From: A <a@example.org>\nSubject: [PATCH] fs: mend x\n\nText.\n---\n\n{PATCH}"


class Piped(io.TextIOWrapper):
    """Standard input from a pipe that has been written to."""

    def __init__(self, text: str) -> None:
        read, write = os.pipe()
        os.write(write, text.encode())
        os.close(write)
        super().__init__(os.fdopen(read, "rb"))


def test_standard_input_is_read_once_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Piped(MAIL))
    with kept():
        for _ in range(2):  # for two kernels
            with gathered(["-"]) as inputs:
                (given,) = inputs.given
                assert (str(given), given.path.read_text()) == ("standard input", MAIL)
                assert given.why == "it contains hunks of a unified diff"
                assert inputs.name == "livepatch_fs_mend_x"


def test_standard_input_that_nobody_writes_to_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(Refusal) as caught, gathered(["-"]):
        pass
    assert (caught.value.code, caught.value.found) == ("file-unreadable", "is closed")


def test_a_terminal_is_no_input(monkeypatch: pytest.MonkeyPatch) -> None:
    main, terminal = os.openpty()
    with os.fdopen(main, "rb", buffering=0), os.fdopen(terminal) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        with pytest.raises(Refusal) as caught, gathered(["-"]):
            pass
    assert "git show | suture build -" in caught.value.remedy


def test_a_directory_stands_for_its_patches(tmp_path: Path) -> None:
    for name in ("0002-b.patch", "0001-a.patch"):
        (tmp_path / name).write_text(MAIL.replace("mend x", f"mend {name}"))
    assert directory_of_modules([tmp_path]) is None
    with gathered([tmp_path]) as inputs:
        assert [one.path.name for one in inputs.given] == ["0001-a.patch", "0002-b.patch"]
        assert inputs.name == "livepatch_fs_mend_0001_a_patch"
        assert len(inputs.fixes) == 2


def test_the_series_says_how_many_components_to_strip_unless_the_author_does(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.patch").write_text(PATCH)
    (tmp_path / "series").write_text("a.patch -p0\n")
    with gathered([tmp_path]) as inputs:
        assert [one.strip for one in inputs.given] == [0]
    with gathered([tmp_path], strip=1) as inputs:
        assert [one.strip for one in inputs.given] == [1]


def test_a_written_live_patch_is_none_of_its_patches(tmp_path: Path) -> None:
    (tmp_path / "a.patch").write_text(PATCH)
    (tmp_path / "livepatch.toml").write_text("suture = 1\n")
    with brought([tmp_path]) as files:
        assert [file.path for file in files] == [tmp_path]


def test_commits_are_patches_of_their_own(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    for value in "abc":
        repository.write("fs/x.c", f"int {value};\n")
        repository.commit(f"fs: set {value}")
    with gathered(["HEAD~2.."], git=repository.root) as inputs:
        shown = [str(one) for one in inputs.given]
        assert [one.endswith(f"(fs: set {value})") for one, value in zip(shown, "bc", strict=True)]
        assert all(one.startswith("commit ") for one in shown)
        assert [fix.title for fix in inputs.fixes] == ["fs: set b", "fs: set c"]
        assert inputs.git == repository.root
