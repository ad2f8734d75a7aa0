# SPDX-License-Identifier: GPL-2.0-or-later
"""The compiler must be the target's, and the options must stay."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.workspace import configuration
from tests.examples import shows

GCC = subprocess.run(
    ["gcc", "--version"], capture_output=True, text=True, check=True
).stdout.partition("\n")[0]


def config(tmp_path: Path, text: str, gcc: bool = True) -> Path:
    path = tmp_path / "config"
    path.write_text(f'CONFIG_CC_VERSION_TEXT="{text}"\n' + ("CONFIG_CC_IS_GCC=y\n" if gcc else ""))
    return path


def test_the_compiler_of_the_target_is_taken(tmp_path: Path) -> None:
    found = configuration.compiler(config(tmp_path, GCC))
    assert (found.command, found.version) == ("gcc", GCC)


@pytest.mark.parametrize("text", [f"{GCC}x", "gcc-nowhere (Debian 1.0) 1.0", ""])
def test_another_compiler_is_refused_with_both_lines(tmp_path: Path, text: str) -> None:
    with pytest.raises(Refusal) as caught:
        configuration.compiler(config(tmp_path, text))
    assert caught.value.code == "compiler-mismatch"
    assert text in str(caught.value)


def test_a_kernel_built_by_clang_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:
        configuration.compiler(config(tmp_path, "Debian clang version 14.0.6", gcc=False))
    assert caught.value.code == "compiler-mismatch"


@pytest.mark.parametrize("resulting", [b"", b"CONFIG_A=m\n", b"CONFIG_A=y\nCONFIG_NEW=y\n"])
def test_an_option_that_changes_is_refused_by_name(resulting: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        configuration.check_same("6.1", b"CONFIG_A=y\n", resulting)
    shows(caught.value, "config-differs")
    assert "CONFIG_" in caught.value.evidence[0]


def test_options_that_no_code_reads_may_differ() -> None:
    shipped = b"CONFIG_A=y\nCONFIG_PAHOLE_VERSION=124\n# CONFIG_B is not set\n"
    resulting = (
        b'CONFIG_A=y\nCONFIG_BUILD_SALT=""\nCONFIG_MODULE_SIG_ALL=y\nCONFIG_PAHOLE_VERSION=0\n'
    )
    configuration.check_same("6.1", shipped, resulting)
    with pytest.raises(Refusal) as caught:
        configuration.check_same("6.1", shipped, resulting.replace(b"CONFIG_A=y", b"CONFIG_A=m"))
    assert [line.partition(":")[0] for line in caught.value.evidence] == ["CONFIG_A"]


def test_many_differences_are_counted_and_some_named() -> None:
    shipped = b"".join(b"CONFIG_A%d=y\n" % number for number in range(30))
    with pytest.raises(Refusal) as caught:
        configuration.check_same("6.1", shipped, b"")
    assert "30 option(s)" in caught.value.found
    assert caught.value.evidence[-1] == "... and 22 more"
