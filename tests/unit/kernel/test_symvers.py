# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suture.errors import Refusal
from suture.kernel import symvers
from suture.kernel.symvers import Export
from tests.examples import shows
from tests.unit.conftest import only_refusals

SYMVERS = (
    b"0x92997ed8\t_printk\tvmlinux\tEXPORT_SYMBOL\t\n"
    b"0x0c2bb8a1\tsnd_pcm_new\tsound/core/snd-pcm\tEXPORT_SYMBOL\t\n"
    b"0x83e76f72\tinsert_resource_expand_to_fit\tvmlinux\tEXPORT_SYMBOL_GPL\tCXL\n"
)


def test_exports_are_read_by_name() -> None:
    exports = symvers.parse(SYMVERS, "Module.symvers")
    assert exports["_printk"] == Export("_printk", 0x92997ED8, "vmlinux", "EXPORT_SYMBOL", "")
    assert exports["snd_pcm_new"].module == "snd_pcm"
    assert exports["insert_resource_expand_to_fit"].kind == "EXPORT_SYMBOL_GPL"
    assert exports["insert_resource_expand_to_fit"].namespace == "CXL"
    assert "_printk" in exports
    assert "printk" not in exports
    assert exports.get("printk") is None


def test_files_from_before_namespaces_are_read() -> None:
    exports = symvers.parse(b"0x92997ed8\tprintk\tvmlinux\tEXPORT_SYMBOL\n", "Module.symvers")
    assert exports["printk"].namespace == ""


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\x7fELF\0\0",
        b"0x1 _printk vmlinux EXPORT_SYMBOL\n",
        b"zzz\t_printk\tvmlinux\tEXPORT_SYMBOL\t\n",
        b"0x1\t_printk\tvmlinux\tSOMETHING\t\n",
        b"0x1\t\tvmlinux\tEXPORT_SYMBOL\t\n",
        SYMVERS[:-1],
        SYMVERS[:-30],
    ],
    ids=repr,
)
def test_a_damaged_or_foreign_file_is_refused(content: bytes) -> None:
    with pytest.raises(Refusal) as refusal:
        symvers.parse(content, "Module.symvers")
    assert refusal.value.code == "symvers-malformed"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refusal:
        symvers.read(tmp_path / "Module.symvers")
    shows(refusal.value, "file-unreadable")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=100), st.integers(0, len(SYMVERS)))
def test_a_damaged_file_is_refused_or_read(noise: bytes, place: int) -> None:
    with only_refusals("symvers-malformed"):
        symvers.parse(SYMVERS[:place] + noise + SYMVERS[place:], "Module.symvers")
