# SPDX-License-Identifier: GPL-2.0-or-later
"""Refusals say which kernel they are about."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from suture.builder import build_all
from suture.builder.inputs import Choices
from suture.cli import app
from suture.errors import NOT_A_PATCH, Refusal
from suture.kernel.release import Target, names_kernel
from suture.lab.livepatch import try_out
from suture.model import LivePatch
from suture.report.verification import of_module
from suture.sources import find

DIFF = "--- a/fs/x.c\n+++ b/fs/x.c\n@@ -1 +1 @@\n-int a;\n+int b;\n"


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """A target without files."""
    none = tmp_path / "missing"
    return Target("6.1.0-toy-amd64", "1", none, none, none, none, none, none, none)


@dataclass
class Other:
    release: str


@names_kernel
def refuse(text: str, target: Other, *, kernel: str = "") -> None:
    raise Refusal(NOT_A_PATCH, "fix.patch", text, kernel=kernel)


def test_the_kernel_is_a_line_and_a_key() -> None:
    other = Other("6.1.0-toy-amd64")
    for call in (
        partial(refuse, "is empty", other),
        partial(refuse, target=other, text="is empty"),
    ):
        with pytest.raises(Refusal) as refused:
            call()
        assert refused.value.as_dict()["kernel"] == "6.1.0-toy-amd64"
        assert str(refused.value).splitlines()[:2] == [
            "error[not-a-patch]: fix.patch: is empty",
            "  Kernel: 6.1.0-toy-amd64",
        ]


def test_the_innermost_kernel_counts_and_is_not_said_twice() -> None:
    with pytest.raises(Refusal) as refused:
        refuse("is for 6.1.0-other", Other("6.1.0-toy-amd64"), kernel="6.1.0-other")
    assert refused.value.kernel == "6.1.0-other"
    assert "Kernel:" not in str(refused.value)


def test_without_a_kernel_there_is_no_key() -> None:
    refusal = Refusal(NOT_A_PATCH, "fix.patch", "is empty")
    assert "kernel" not in refusal.as_dict()
    assert "Kernel:" not in str(refusal)


def test_builds_verifications_and_tests_name_theirs(target: Target, tmp_path: Path) -> None:
    patch = tmp_path / "fix.patch"
    patch.write_text(DIFF)
    choices = Choices(frozenset({"table"}))
    for attempt in (
        lambda: build_all([patch], target, replace=False, choices=choices),
        lambda: build_all([patch], target),
        lambda: build_all([tmp_path / "none.patch"], target),
        lambda: of_module(b"no module", "fix.ko", target),
        lambda: try_out(target, b"no module", LivePatch("fix", ())),
    ):
        with pytest.raises(Refusal) as refused:
            attempt()
        assert refused.value.kernel == "6.1.0-toy-amd64"


def test_a_kernel_that_is_not_here_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(Refusal) as refused:
        find("6.1.0-toy-amd64")
    assert refused.value.kernel == "6.1.0-toy-amd64"
    assert app.main(["build", "fix.patch", "--kernel", "6.1.0-toy-amd64", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["kernel"] == "6.1.0-toy-amd64"
