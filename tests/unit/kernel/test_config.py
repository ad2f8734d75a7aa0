# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suture.errors import Refusal
from suture.kernel import config
from tests.unit.conftest import only_refusals

CONFIG = b"""\
#
# Automatically generated file; DO NOT EDIT.
# Linux/x86 6.1.176 Kernel Configuration
#
CONFIG_CC_VERSION_TEXT="gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0"
CONFIG_LIVEPATCH=y
CONFIG_BLK_DEV_LOOP=m
# CONFIG_KASAN is not set
CONFIG_PHYSICAL_START=0x1000000
CONFIG_LOCALVERSION="-\\"quoted\\""

"""


def test_options_are_read_by_name() -> None:
    read = config.parse(CONFIG, ".config")
    assert read.enabled("LIVEPATCH")
    assert read.enabled("BLK_DEV_LOOP")
    assert not read.enabled("KASAN")
    assert not read.enabled("UNHEARD_OF")
    assert read.value("PHYSICAL_START") == "0x1000000"
    assert read.value("LOCALVERSION") == '-"quoted"'
    assert read.compiler == "gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0"


@pytest.mark.parametrize(
    "content", [b"", b"# only a comment\n", b"\x7fELF\0\0", b"CONFIG_A=y\nhello\n"], ids=repr
)
def test_what_is_no_configuration_is_refused(content: bytes) -> None:
    with pytest.raises(Refusal) as refusal:
        config.parse(content, ".config")
    assert refusal.value.code == "config-malformed"


def test_the_line_that_is_wrong_is_named() -> None:
    with pytest.raises(Refusal) as refusal:
        config.parse(b"CONFIG_A=y\nCONFIG_B\n", ".config")
    assert refusal.value.where == ".config:2"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refusal:
        config.read(tmp_path / ".config")
    assert refusal.value.code == "file-unreadable"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=100), st.integers(0, len(CONFIG)))
def test_a_damaged_configuration_is_refused_or_read(noise: bytes, place: int) -> None:
    with only_refusals("config-malformed"):
        config.parse(CONFIG[:place] + noise + CONFIG[place:], ".config")
