# SPDX-License-Identifier: GPL-2.0-or-later
"""What contrib/ holds for CI systems: the steps for a list of kernels, and what they leave."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from contrib.ci import build_and_test

CI = Path(__file__).resolve().parents[2] / "contrib/ci"

SUTURE = """\
#!/bin/sh
# Answers as Suture does, for three kernels: one is built and passes, one has the fix, one is refused.
case "$*" in
"kernel list --suite bookworm --json")
    echo '{"offers": [{"release": "6.1.0-3-amd64"}, {"release": "6.1.0-2-amd64"},
        {"release": "6.1.0-1-amd64"}, {"release": "6.12.1-amd64"}]}' ;;
"kernel fetch "*) echo '{}' ;;
"build "*6.1.0-1-amd64*) touch build.html; echo '{"module": "fix.ko"}' ;;
"build "*6.1.0-2-amd64*)
    echo '{"error": {"code": "patch-already-applied", "where": "fix.patch", "found": "it is there"}}'
    exit 1 ;;
"build "*)
    echo '{"error": {"code": "data-changed", "where": "fs/x.c", "found": "the patch <changes> data"}}'
    exit 1 ;;
"test fix.ko --script /"*"/check.sh --json") echo '{"passed": true}' ;;
*) echo "$*" >&2; exit 2 ;;
esac
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "bin/suture"
    program.parent.mkdir()
    program.write_text(SUTURE)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_kernel_is_tried_whatever_became_of_the_others(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--kernel", "6.1.*-amd64", "--script", "check.sh", "fix.patch"]
    assert build_and_test.main(words) == 1
    assert capsys.readouterr().out.splitlines() == [
        "6.1.0-1-amd64  build  passed  fix.ko",
        "6.1.0-1-amd64  test  passed  fix.ko",
        "6.1.0-2-amd64  build  has the fix  patch-already-applied: fix.patch: it is there",
        "6.1.0-3-amd64  build  failed  data-changed: fs/x.c: the patch <changes> data",
    ]
    results = json.loads((place / "out/results.json").read_text())
    assert [one["outcome"] for one in results] == ["passed", "passed", "has the fix", "failed"]
    suite = ElementTree.parse(place / "out/junit.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("4", "1")
    assert [one.tag for case in suite for one in case] == ["skipped", "failure"]
    assert (place / "out/6.1.0-1-amd64/build.html").exists()


def test_all_is_well_where_each_passed_or_has_the_fix(place: Path) -> None:
    words = ["--kernel", "6.1.0-[12]-amd64", "--script", "check.sh", "--out", "x", "fix.patch"]
    assert build_and_test.main(words) == 0
    assert (place / "x/junit.xml").exists()


def test_a_pattern_that_nothing_matches_is_told(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build_and_test.main(["--kernel", "5.*", "fix.patch"]) == 1
    told = capsys.readouterr().err
    assert "5.*" in told
    assert "on offer: 6.12.1-amd64, 6.1.0-1-amd64, 6.1.0-2-amd64, 6.1.0-3-amd64" in told


def test_the_image_copies_what_is_there() -> None:
    """Nothing here can make the image; scripts/packages.py names its packages."""
    text = (CI / "Containerfile").read_text()
    for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE):
        assert all((CI.parents[1] / name).exists() for name in line.split())
    assert (CI / "build_and_test.py").name in text
    assert "USER builder" in text
    for name in ("contrib/ci/Containerfile", "suture-ci"):
        assert name in (CI / "github-workflow.yml").read_text()
