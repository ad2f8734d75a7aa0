# SPDX-License-Identifier: GPL-2.0-or-later
"""Source diffs come out of the written form as they were put in, and nothing else becomes one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from suture.builder.convert import convert, convert_to_diffs
from suture.builder.fixes import Said
from suture.builder.given import brought
from suture.builder.inputs import Choices
from suture.cli import app
from suture.errors import Acceptance, Refusal

DIFF = """\
--- a/fs/proc/version.c
+++ b/fs/proc/version.c
@@ -1 +1 @@
-int a;
+int {name};
"""


def diff(path: Path, name: str = "b") -> Path:
    path.write_text(DIFF.format(name=name))
    return path


@pytest.mark.parametrize("name", ["fix.livepatch", "fix.tar.xz", "fix.tar"])
def test_a_diff_comes_back_byte_for_byte(name: str, tmp_path: Path) -> None:
    given = diff(tmp_path / "fix.patch")
    given.write_bytes(b"Subject: [PATCH] mend\r\n\n" + given.read_bytes())
    written = convert([given], tmp_path / name)
    taken = convert_to_diffs([written.path], tmp_path / "again.patch")
    assert taken.path.read_bytes() == given.read_bytes()
    assert taken.dropped == ()


def test_several_diffs_come_back_as_a_series(tmp_path: Path) -> None:
    given = [diff(tmp_path / "b.patch", "one"), diff(tmp_path / "a.patch", "two")]
    written = convert(given, tmp_path / "fix.livepatch", strip=1)
    taken = convert_to_diffs([written.path], tmp_path / "series")
    assert (taken.path / "series").read_text() == "0001-b.patch -p1\n0002-a.patch -p1\n"
    with brought([taken.path]) as files:
        assert [file.path.read_bytes() for file in files] == [one.read_bytes() for one in given]
    with pytest.raises(Refusal, match="not-a-diff"):
        convert_to_diffs([written.path], tmp_path / "both.patch")
    assert not (tmp_path / "both.patch").exists()


def test_decisions_that_a_diff_cannot_hold_are_named(tmp_path: Path) -> None:
    choices = Choices(
        frozenset({"table"}),
        caller_depth=0,
        accepted=(Acceptance("thread-function-replaced", "kauditd_thread", "it is not there"),),
        said=Said("What it is for.", ("CVE-2024-1086",), ()),
    )
    written = convert(
        [diff(tmp_path / "fix.patch")],
        tmp_path / "fix.livepatch",
        name="named",
        replace=False,
        choices=choices,
    )
    taken = convert_to_diffs([written.path], tmp_path / "again.patch")
    assert set(taken.dropped) == {
        "--name named",
        "--no-replace",
        "--patch-data table",
        "--caller-depth 0",
        "--cve CVE-2024-1086",
        "--title 'What it is for.'",
        "--accept thread-function-replaced:kauditd_thread --because 'it is not there'",
    }


def test_a_c_module_is_no_diff(tmp_path: Path) -> None:
    module = tmp_path / "kgr_fix.c"
    module.write_text("#include <linux/livepatch.h>\n")
    written = convert([module], tmp_path / "fix.livepatch")
    with pytest.raises(Refusal, match="not-a-diff"):
        convert_to_diffs([written.path], tmp_path / "fix.patch")


def test_a_built_module_is_no_source(tmp_path: Path) -> None:
    source = tmp_path / "fix.c"
    source.write_text(
        'int this_module __attribute__((section(".gnu.linkonce.this_module"))) = 1;\n'
    )
    subprocess.run(["gcc", "-c", source, "-o", tmp_path / "fix.ko"], check=True)
    with pytest.raises(Refusal) as refused:
        convert([tmp_path / "fix.ko"], tmp_path / "fix.livepatch")
    assert refused.value.code == "not-a-source"
    assert "is a built module" in refused.value.found
    assert not (tmp_path / "fix.livepatch").exists()


@pytest.mark.parametrize("name", ["fix.ko", "fix.c", "livepatch.toml", "fix.zip", "fix.json"])
def test_what_is_named_like_a_file_does_not_become_a_directory(name: str, tmp_path: Path) -> None:
    given = diff(tmp_path / "fix.patch")
    with pytest.raises(Refusal, match="output-form-unknown"):
        convert([given], tmp_path / name)
    assert not (tmp_path / name).exists()


def test_no_directory_is_made_above_the_output(tmp_path: Path) -> None:
    given = diff(tmp_path / "fix.patch")
    for make in (convert, convert_to_diffs):
        with pytest.raises(Refusal, match="there is no directory"):
            make([given], tmp_path / "new/fix.livepatch")
    assert not (tmp_path / "new").exists()


def test_the_command_takes_the_form_from_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    given = diff(Path("fix.patch"))
    assert app.main(["convert", "fix.patch", "-o", "fix.livepatch", "--name", "mend"]) == 0
    assert app.main(["convert", "fix.livepatch", "-o", "again.diff"]) == 0
    assert "leaves out --name mend" in capsys.readouterr().out
    assert Path("again.diff").read_bytes() == given.read_bytes()
    assert app.main(["convert", "fix.livepatch", "-o", "patches", "--to", "diff"]) == 0
    assert Path("patches/series").read_text() == "0001-fix.patch\n"
