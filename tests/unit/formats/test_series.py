# SPDX-License-Identifier: GPL-2.0-or-later
"""Directories with the patches of a series; quilt's manual and git are the models."""

from __future__ import annotations

from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.formats.series import is_series, patches
from tests.examples import shows

PATCH = "--- a/fs/x.c\n+++ b/fs/x.c\n@@ -1 +1 @@\n-int a;\n+int b;\n"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in ("one.patch", "two.patch", "deep/three.diff"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(PATCH)
    return tmp_path


def names(directory: Path) -> list[str]:
    return [str(one.path.relative_to(directory)) for one in patches(directory)]


def refused(directory: Path) -> Refusal:
    with pytest.raises(Refusal) as caught:
        patches(directory)
    return caught.value


def test_a_series_file_gives_the_order(directory: Path) -> None:
    (directory / "series").write_text(
        "# quilt\n\ntwo.patch\none.patch -p0 # why\n  deep/three.diff\n"
    )
    assert is_series(directory)
    assert names(directory) == ["two.patch", "one.patch", "deep/three.diff"]
    assert [one.strip for one in patches(directory)] == [None, 0, None]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("one.patch -R", "'one.patch -R' is not a patch with -p0 or -p1"),
        ("one.patch -p3", "'one.patch -p3' is not a patch with -p0 or -p1"),
        ("one.patch two.patch", "'one.patch two.patch' is not a patch with -p0 or -p1"),
        ("none.patch", "there is no file none.patch"),
        ("deep", "there is no file deep"),
    ],
)
def test_what_a_series_cannot_say_is_refused_at_its_line(
    directory: Path, line: str, found: str
) -> None:
    (directory / "series").write_text(f"two.patch\n{line}\n")
    refusal = refused(directory)
    assert (refusal.code, refusal.found) == ("series-invalid", found)
    assert refusal.where == f"{directory}/series:2"
    if line == "one.patch -R":
        shows(refusal, "series-invalid")


def test_a_series_names_patches_inside_its_directory_only(directory: Path) -> None:
    (directory / "deep/series").write_text("../one.patch\n")
    assert refused(directory / "deep").code == "source-escapes"


def test_an_empty_series_is_refused(directory: Path) -> None:
    (directory / "series").write_text("# nothing yet\n")
    assert (refused(directory).code, refused(directory).found) == (
        "series-invalid",
        "names no patch",
    )


def test_numbers_give_the_order_and_a_cover_letter_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "0000-cover-letter.patch").write_text("Subject: [PATCH 0/3]\n\n fs/x.c | 2 +-\n")
    for name in ("0010-last.patch", "0002-second.patch", "0001-first.patch"):
        (tmp_path / name).write_text(PATCH)
    assert is_series(tmp_path)
    assert names(tmp_path) == ["0001-first.patch", "0002-second.patch", "0010-last.patch"]


def test_one_patch_needs_no_number(tmp_path: Path) -> None:
    (tmp_path / "fix.patch").write_text(PATCH)
    assert names(tmp_path) == ["fix.patch"]


def test_patches_without_an_order_are_refused(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / "patches").mkdir()
    for name in ("one.patch", "two.patch"):
        (directory / name).rename(directory / "patches" / name)
    monkeypatch.chdir(directory)
    refusal = refused(Path("patches"))
    shows(refusal, "series-without-order")
    assert refusal.found == "holds 2 patches, and one.patch, two.patch are without a number"


def test_a_number_twice_is_no_order(tmp_path: Path) -> None:
    for name in ("0001-first.patch", "1-other.patch", "2-second.patch"):
        (tmp_path / name).write_text(PATCH)
    found = refused(tmp_path).found
    assert found == "0001-first.patch, 1-other.patch are with the same number"


def test_a_module_with_a_patch_beside_it_is_no_series(directory: Path) -> None:
    (directory / "livepatch.c").write_text("#include <linux/livepatch.h>\n")
    assert not is_series(directory)
