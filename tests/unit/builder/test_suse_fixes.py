# SPDX-License-Identifier: GPL-2.0-or-later
"""Which fixes of one of SUSE's directories are taken, and what is said where some do not fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from suture.builder import suse_fixes
from suture.builder.inputs import with_fixes
from suture.builder.suse_fixes import build_fixes
from suture.errors import (
    FUNCTION_NOT_IN_KERNEL,
    MODULE_DOES_NOT_COMPILE,
    NO_LIVEPATCH,
    Refusal,
)
from suture.formats import suse
from suture.formats.recognise import Format, Input

ABSENT = Refusal(FUNCTION_NOT_IN_KERNEL, "b/patched_funcs.csv:1", "vmlinux has no function f")
MISTAKE = Refusal(MODULE_DOES_NOT_COMPILE, "livepatch_main.c:7", "expected ';'")
TARGET: Any = SimpleNamespace(release="6.1.0-50-amd64")
BUILT: Any = SimpleNamespace(
    checked=(
        SimpleNamespace(objname="vmlinux", function="f", new="klpp_f"),
        SimpleNamespace(objname="vmlinux", function="g", new="__x64_sys_klp_newuname"),
    )
)


@pytest.fixture
def given(tmp_path: Path) -> Input:
    """A directory with the fixes a, bb and c."""
    top = tmp_path / "fixes"
    for name in ("a", "bb", "c"):
        (top / name).mkdir(parents=True)
        (top / name / suse.TABLE).write_text("")
    (top / suse.MAIN).write_text("")
    return Input(top, Format.LIVEPATCH, "")


def builds(monkeypatch: pytest.MonkeyPatch, refused: Mapping[str, Refusal]) -> list[str]:
    """Let building raise what is said for a fix, or "" for all of them.

    :return: the fixes that were tried by themselves, in time.
    """
    tried: list[str] = []

    def build_modules(given: Input, target: object, **_: object) -> tuple[Any, ...]:
        """Build nothing."""
        name = given.only[0] if len(given.only) == 1 else ""
        tried.extend([name] * bool(name))
        if name in refused:
            raise refused[name]
        return (BUILT,)

    monkeypatch.setattr(suse_fixes, "build_modules", build_modules)
    return tried


def test_the_table_has_a_row_for_each_fix(given: Input, monkeypatch: pytest.MonkeyPatch) -> None:
    builds(monkeypatch, {"": ABSENT, "bb": ABSENT})
    with pytest.raises(Refusal) as caught:
        build_fixes(given, TARGET)
    assert caught.value.code == "suse-fixes-misfit"
    assert caught.value.found == "2 of 3 fixes fit 6.1.0-50-amd64"
    assert caught.value.evidence == (
        "a   fits     vmlinux: f()",
        "bb  refused  function-not-in-kernel: b/patched_funcs.csv:1: vmlinux has no function f",
        "c   fits     vmlinux: f()",
    )
    assert caught.value.remedy.startswith("Build those that fit: --only a --only c.")


def test_with_no_fix_that_fits_none_is_recommended(
    given: Input, monkeypatch: pytest.MonkeyPatch
) -> None:
    builds(monkeypatch, {"": ABSENT, "a": MISTAKE, "bb": ABSENT, "c": ABSENT})
    with pytest.raises(Refusal) as caught:
        build_fixes(given, TARGET)
    assert caught.value.found.startswith("0 of 3 ")
    assert caught.value.remedy == caught.value.kind.remedy


@pytest.mark.parametrize("alone", ["", "abc"], ids=["of all together", "of each"])
def test_a_refusal_of_all_is_raised_as_it_is(
    given: Input, monkeypatch: pytest.MonkeyPatch, alone: str
) -> None:
    names = ("a", "bb", "c") if alone else ()
    builds(monkeypatch, dict.fromkeys(("", *names), MISTAKE))
    with pytest.raises(Refusal) as caught:
        build_fixes(given, TARGET)
    assert caught.value is MISTAKE


def test_what_has_nothing_to_do_with_fixes_starts_no_trials(
    given: Input, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = builds(monkeypatch, {"": Refusal(NO_LIVEPATCH, "6.1.0-50-amd64", "not set")})
    with pytest.raises(Refusal, match="no-livepatch"):
        build_fixes(given, TARGET)
    assert tried == []


def test_only_the_wanted_fixes_are_tried(given: Input, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = builds(monkeypatch, {"": ABSENT, "bb": ABSENT})
    with pytest.raises(Refusal):
        build_fixes(dataclasses.replace(given, only=("c", "bb")), TARGET)
    assert tried == ["bb", "c"]


def test_other_inputs_have_no_fixes(given: Input, tmp_path: Path) -> None:
    diff = Input(tmp_path / "fix.patch", Format.DIFF, "")
    assert with_fixes([diff, given], []) == [diff, given]
    chosen = with_fixes([diff, given], ["a"])
    assert [one.only for one in chosen] == [(), ("a",)]
    with pytest.raises(Refusal, match="suse-fix-unknown"):
        with_fixes([diff], ["a"])
