# SPDX-License-Identifier: GPL-2.0-or-later
"""``/proc/kcore``, the list of what moves at boot, and why there is nothing to compare with."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from suture.arch.x86_64 import boot_relocations
from suture.verify.live.kcore import Kcore
from tests.live_root import kcore, make_root

NOTE = b"\0\0\0\0VMCOREINFO\0\0OSRELEASE=6.1.0\nKERNELOFFSET=1a00000\nSYMBOL(_stext)=ff\n"
TEXT = 0xFFFFFFFF81000000


@pytest.fixture
def made(tmp_path: Path) -> Kcore:
    memory = [(TEXT, b"kernel text"), (TEXT + 0x1000, b"more")]
    return Kcore(make_root(tmp_path, {}, NOTE, memory) / "proc/kcore")


def test_memory_is_read_by_address(made: Kcore) -> None:
    assert made.read(TEXT + 7, 4) == b"text"
    assert made.read(TEXT + 0x1001, 2) == b"or"


def test_what_is_not_in_memory_reads_as_nothing(made: Kcore) -> None:
    assert made.read(TEXT + 7, 100) == b"text"
    assert made.read(TEXT + 0x800, 4) == b""
    assert made.read(TEXT - 1, 4) == b""


def test_the_kernel_says_how_far_it_moved(made: Kcore) -> None:
    assert made.vmcoreinfo["KERNELOFFSET"] == "1a00000"
    assert made.vmcoreinfo["SYMBOL(_stext)"] == "ff"


@pytest.mark.parametrize("size", [0, 10, 40, 70, 200])
def test_a_damaged_file_is_told(tmp_path: Path, size: int) -> None:
    path = tmp_path / "kcore"
    path.write_bytes(kcore(NOTE, [(TEXT, b"x"), (TEXT, b"y"), (TEXT, b"z")])[:size])
    with pytest.raises(ValueError, match=r"ELF|truncated"):
        Kcore(path)


def numbers(*some: int) -> bytes:
    return struct.pack(f"<{len(some)}I", *some)


def test_words_fields_and_distances_move() -> None:
    listed = boot_relocations.read(numbers(0, 0x81000000, 0, 0x81000010, 0, 0x8100000C, 0x81000008))
    assert listed is not None
    data = struct.pack("<QIIII", TEXT, 0x81000000, 0x81000000, 0x100, 7)
    moved = struct.pack(
        "<QIIII", TEXT + 0x200000, 0x81200000, 0x81200000, 0x100 - 0x200000 & 0xFFFFFFFF, 7
    )
    assert listed.applied(data, TEXT, 0x200000) == moved


def test_a_place_that_is_not_whole_stays() -> None:
    listed = boot_relocations.read(numbers(0, 0x81000000, 0, 0))
    assert listed is not None
    assert listed.applied(bytes(7), TEXT, 0x200000) == bytes(7)


def test_newer_kernels_have_no_distances() -> None:
    listed = boot_relocations.read(numbers(0, 0x81000000, 0, 0x81000010))
    assert listed is not None
    assert [list(some) for some in (listed.words, listed.inverse, listed.fields)] == [
        [TEXT],
        [],
        [TEXT + 0x10],
    ]


@pytest.mark.parametrize("behind", [b"", b"\1\0\0\0", numbers(5, 6), numbers(0, 1)])
def test_another_end_of_a_file_is_no_list(behind: bytes) -> None:
    assert boot_relocations.read(behind) is None
