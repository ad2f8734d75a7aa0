# SPDX-License-Identifier: GPL-2.0-or-later
"""What an input is, told from its content, and the line that shows it."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.formats.recognise import Format, recognise

DIFF = "--- a/fs/x.c\n+++ b/fs/x.c\n@@ -1 +1,2 @@\n int a;\n+{}\n"
KGRAFT = "#include <linux/module.h>\n#include <linux/kgraft.h>\n"
LIVEPATCH = "#include <linux/module.h>\n#include <linux/livepatch.h>\nstatic struct klp_func funcs[] = { {} };\n"
CALLBACK = "KPATCH_PRE_PATCH_CALLBACK(f);"


@pytest.mark.parametrize(
    ("name", "text", "format", "line"),
    [
        ("a.patch", DIFF.format("int b;"), Format.DIFF, "it contains hunks"),
        (
            "a.patch",
            DIFF.format('#include "kpatch-macros.h"'),
            Format.KPATCH,
            "a.patch:5: +#include",
        ),
        ("a.patch", DIFF.format('#include "kpatch.h"'), Format.KPATCH, "a.patch:5: +#include"),
        (
            "a.patch",
            DIFF.format("#include <linux/kpatch.h>"),
            Format.KPATCH,
            "a.patch:5: +#include",
        ),
        (
            "a.patch",
            DIFF.format('#include "ksplice-shadow.h"'),
            Format.KSPLICE,
            "a.patch:5: +#include",
        ),
        (
            "a.patch",
            DIFF.format("DEFINE_SHADOW_FIELD(a, b, c, d, e);"),
            Format.KSPLICE,
            "a.patch:5: +DEFINE_SHADOW",
        ),
        ("a.patch", DIFF.format(CALLBACK), Format.KPATCH, "a.patch:5: +KPATCH_PRE_PATCH_CALLBACK"),
        (
            "a.patch",
            DIFF.format('#include "ksplice-patch.h"'),
            Format.KSPLICE,
            "a.patch:5: +#include",
        ),
        (
            "a.patch",
            DIFF.format("ksplice_pre_apply(f);"),
            Format.KSPLICE,
            "a.patch:5: +ksplice_pre_apply",
        ),
        ("a.c", KGRAFT, Format.KGRAFT, "a.c:2: #include <linux/kgraft.h>"),
        ("a.c", LIVEPATCH, Format.LIVEPATCH, "a.c:2: #include <linux/livepatch.h>"),
        ("a.c", KGRAFT + LIVEPATCH, Format.KGRAFT, "a.c:2: #include <linux/kgraft.h>"),
        ("livepatch.toml", "suture = 1\n", Format.SUTURE, "its name"),
    ],
)
def test_a_file_is_told_from_its_content(
    tmp_path: Path, name: str, text: str, format: Format, line: str
) -> None:
    (tmp_path / name).write_text(text)
    found = recognise(tmp_path / name)
    assert found.format is format
    assert found.why.removeprefix(f"{tmp_path}/").startswith(line)


def test_what_a_diff_only_removes_or_shows_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.patch").write_text(
        '--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,2 @@\n #include "kpatch-macros.h"\n-int a;\n+int b;\n'
    )
    assert recognise(tmp_path / "a.patch").format is Format.DIFF


def test_a_directory_is_told_from_its_c_files(tmp_path: Path) -> None:
    (tmp_path / "uname").mkdir()
    (tmp_path / "uname" / "fix.c").write_text(LIVEPATCH)
    assert recognise(tmp_path).format is Format.LIVEPATCH
    (tmp_path / "livepatch.toml").write_text("suture = 1\n")
    assert recognise(tmp_path).format is Format.SUTURE


def test_an_object_and_an_archive_are_told_by_their_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "old.ko").write_bytes(b"\x7fELF\2\1\1\0")
    assert recognise(tmp_path / "old.ko").format is Format.KPATCH_OBJECT
    (tmp_path / "livepatch.toml").write_text("suture = 1\n")
    with tarfile.open(tmp_path / "fix.livepatch", "w:gz") as tar:
        tar.add(tmp_path / "livepatch.toml", "livepatch.toml")
    assert recognise(tmp_path / "fix.livepatch").format is Format.SUTURE


def test_what_the_author_says_counts(tmp_path: Path) -> None:
    (tmp_path / "a.patch").write_text(DIFF.format(CALLBACK))
    assert recognise(tmp_path / "a.patch", Format.DIFF).format is Format.DIFF


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("plain.c", b"int a;\n", "format-unknown"),
        ("notes", b"hello\n", "not-a-patch"),
        ("empty.patch", b"", "not-a-patch"),
        ("image", b"\0\1\2", "not-a-patch"),
        (
            "two.patch",
            DIFF.format('#include "ksplice-patch.h"').encode() + f"+{CALLBACK}\n".encode(),
            "format-ambiguous",
        ),
    ],
)
def test_what_is_nothing_of_it_is_refused(
    tmp_path: Path, name: str, data: bytes, code: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(Refusal) as caught:
        recognise(tmp_path / name)
    assert caught.value.code == code


def test_a_c_file_is_told_from_what_it_includes_too(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text('#include "parts/fix.c"\n')
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "fix.c").write_text(LIVEPATCH)
    found = recognise(tmp_path / "main.c")
    assert found.format is Format.LIVEPATCH
    assert found.why.endswith("parts/fix.c:2: #include <linux/livepatch.h>")


def test_c_for_kpatchs_own_core_is_refused_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "old.c").write_text('#include <linux/module.h>\n#include "kpatch.h"\n')
    with pytest.raises(Refusal) as caught:
        recognise(tmp_path / "old.c")
    assert caught.value.code == "format-unknown"
    assert caught.value.where.endswith("old.c:2")
    (tmp_path / "both.c").write_text('#include "kpatch.h"\n' + LIVEPATCH)
    assert recognise(tmp_path / "both.c").format is Format.LIVEPATCH


def test_a_directory_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="format-unknown"):
        recognise(tmp_path)
