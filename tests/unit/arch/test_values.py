# SPDX-License-Identifier: GPL-2.0-or-later
"""What architectures are described with: machines, relocated fields, and how addresses are
found."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suture import arch
from suture.arch.machine import ByteOrder
from suture.arch.relocations import RelocationType
from suture.arch.search import absolute, relative
from suture.elf import writer
from suture.elf.object import ObjectFile
from tests.unit.arch.toy import Toy
from tests.unit.toolchain import MACHINE, compile_c

# System V psABI of AArch64, 5.7.10: 26 bits of a distance in words, in a little-endian word.
CALL26 = RelocationType("R_AARCH64_CALL26", 4, True, True, shift=2, mask=b"\xff\xff\xff\x03")
# ELF ABI of s390x, 1.1.1: a distance in halves, in a field of 4 bytes.
PC32DBL = RelocationType("R_390_PC32DBL", 4, True, True, shift=1)
# Power ELF ABI, 3.5.3: the distance stands in the word without its two lowest bits, big-endian.
REL24 = RelocationType("R_PPC64_REL24", 4, True, True, shift=2, mask=b"\x03\xff\xff\xfc")


@pytest.mark.parametrize(
    ("kind", "order", "empty", "value", "word"),
    [
        # bl .+8, bl .-4; brasl's field; bl .+16, bl .-8
        (CALL26, "little", 0x94000000, 8, 0x94000002),
        (CALL26, "little", 0x94000000, -4, 0x97FFFFFF),
        (PC32DBL, "big", 0, 0x1234, 0x091A),
        (PC32DBL, "big", 0, -2, 0xFFFFFFFF),
        (REL24, "big", 0x48000001, 16, 0x48000011),
        (REL24, "big", 0x48000001, -8, 0x4BFFFFF9),
    ],
)
def test_a_field_is_written_as_the_abi_says_and_read_back(
    kind: RelocationType, order: ByteOrder, empty: int, value: int, word: int
) -> None:
    data = bytearray(b"\xaa" + empty.to_bytes(4, order) + b"\xaa")
    kind.write(data, 1, order, value)
    assert int.from_bytes(data[1:5], order) == word
    assert kind.read(bytes(data), 1, order) == value
    kind.blank(data, 1)
    assert int.from_bytes(data[1:5], order) == empty
    assert data[0] == data[5] == 0xAA


def test_files_are_told_apart_by_their_first_bytes() -> None:
    compiled = compile_c("int x;")
    assert arch.identify(compiled) == MACHINE
    assert arch.of_elf(compiled) is arch.of(MACHINE)
    made = writer.write(ObjectFile("a.o", (), (), {}, machine=Toy.machine))
    assert arch.identify(made) == Toy.machine
    for other in (b"", compiled[:19], b"\x7fELF\x01" + compiled[5:], b"MZ" + compiled[2:]):
        assert arch.of_elf(other) is None
    # The same number with the other byte order is another machine.
    swapped = compiled[:5] + b"\x02" + compiled[6:18] + b"\0\x3e" + compiled[20:]
    assert arch.identify(swapped) is not None
    assert arch.of_elf(swapped) is None


@pytest.mark.parametrize("order", ["little", "big"])
@settings(deadline=None, max_examples=25)
@given(
    size=st.integers(0, 70000),
    places=st.lists(st.integers(0, 69990), max_size=4),
    target=st.integers(-(2**31), 2**31),
)
def test_every_field_that_leads_to_an_address_is_found(
    order: ByteOrder, size: int, places: list[int], target: int
) -> None:
    address, data = 0xFFFFFFFF81000000, bytearray(size)
    target += address
    for place in places:
        if place + 4 <= size:
            distance = (target - (address + place + 4)) % 2**32
            data[place : place + 4] = distance.to_bytes(4, order)
    found = list(relative(bytes(data), address, target, 4, order))
    wanted = [
        address + at
        for at in range(size - 3)
        if int.from_bytes(data[at : at + 4], order) == (target - (address + at + 4)) % 2**32
    ]
    assert found == wanted


@pytest.mark.parametrize("order", ["little", "big"])
def test_pointers_are_found_wherever_they_stand(order: ByteOrder) -> None:
    pointer = (0xFFFFFFFF81000010).to_bytes(8, order)
    data = bytes(3) + pointer + bytes(8) + pointer
    assert list(absolute(data, 0x1000, 0xFFFFFFFF81000010, 8, order)) == [0x1003, 0x1013]
