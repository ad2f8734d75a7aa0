# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever is in the file: a refusal that names it, never a traceback, and never an endless
read."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suture.diff.changes import compare
from suture.elf import reader, writer
from suture.errors import Refusal
from suture.objects.special import Entries
from suture.objects.view import View
from tests.examples import shows
from tests.unit.toolchain import SIZES, Anything, compile_c, select_with, side

SOURCE = r"""
static int counter = 5;
extern int outside(int, const char *);
static __attribute__((noinline)) int helper(int x)
{
    static int calls;
    return outside(x + counter + calls++, "a text");
}
int entry(int x)
{
    asm volatile("1: ud2\n.pushsection __bug_table,\"aw\"\n2: .long 1b - .\n.long %c0 - .\n.word 7, 0\n.popsection"
                 : : "i"("file.c"));
    return helper(x);
}
"""
GOOD = compile_c(SOURCE)
PATCHED = compile_c(SOURCE.replace("helper(x);", "helper(x + 1);"))
Header = struct.Struct("<16sHHIQQQIHHHHHH")


def read_all(data: bytes) -> None:
    """Everything that is done to an object before it is linked."""
    obj = reader.read(data, "bad.o")
    writer.write(obj)
    view = View(obj)
    for unit in view.units:
        list(view.references(unit))
    Entries(view, SIZES)


def refused_or_read(data: bytes) -> None:
    try:
        read_all(data)
        select_with(compare(side(GOOD), side(data)), Anything())
    except Refusal:
        pass


def section_header(number: int) -> int:
    shoff: int = Header.unpack_from(GOOD)[6]
    return shoff + 64 * number


BOUNDARIES = sorted(
    {0, 1, 4, 16, 63, 64, len(GOOD) - 1}
    | {
        section_header(number) + delta
        for number in range(Header.unpack_from(GOOD)[12])
        for delta in (-1, 0, 1)
    }
)


@pytest.mark.parametrize("length", BOUNDARIES)
def test_a_truncated_object_is_refused(length: int) -> None:
    with pytest.raises(Refusal) as refused:
        reader.read(GOOD[:length], "cut.o")
    assert refused.value.code == "object-malformed"
    assert refused.value.where == "cut.o"


@pytest.mark.parametrize(
    "data", [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF" + bytes(60), bytes(4096), b"!<arch>\n"]
)
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        reader.read(data, "foreign")
    assert refused.value.code in ("object-malformed", "object-unsupported")


def test_an_executable_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        reader.read(Path("/bin/true").read_bytes(), "/bin/true")
    shows(refused.value, "object-unsupported")


def test_a_32_bit_object_is_refused(tmp_path: Path) -> None:
    subprocess.run(
        ["as", "--32", "-o", tmp_path / "a.o", "-"], input="ret\n", text=True, check=True
    )
    with pytest.raises(Refusal) as refused:
        reader.read((tmp_path / "a.o").read_bytes(), "a.o")
    assert refused.value.code == "object-unsupported"


def patched_header(number: int, offset: int, layout: str, value: int) -> bytes:
    data = bytearray(GOOD)
    struct.pack_into(layout, data, section_header(number) + offset, value)
    return bytes(data)


@pytest.mark.parametrize(
    ("offset", "layout"),
    [
        (0, "<I"),
        (4, "<I"),
        (8, "<Q"),
        (24, "<Q"),
        (32, "<Q"),
        (40, "<I"),
        (44, "<I"),
        (48, "<Q"),
        (56, "<Q"),
    ],
)
@pytest.mark.parametrize("value", [0, 3, 0x7FFFFFFF, 0xFFFFFFFF])
def test_wrong_section_header_fields_end_in_a_refusal_or_do_no_harm(
    offset: int, layout: str, value: int
) -> None:
    for number in range(1, Header.unpack_from(GOOD)[12]):
        refused_or_read(patched_header(number, offset, layout, value))


@pytest.mark.parametrize("field", range(1, 14))
@pytest.mark.parametrize("value", [0, 1, 2, 0x7F, 0xFFFF])
def test_wrong_file_header_fields_end_in_a_refusal_or_do_no_harm(field: int, value: int) -> None:
    header = list(Header.unpack_from(GOOD))
    header[field] = value
    refused_or_read(Header.pack(*header) + GOOD[64:])


def test_a_symbol_outside_its_section_is_refused() -> None:
    data = bytearray(GOOD)
    table = next(
        section_header(n)
        for n in range(Header.unpack_from(GOOD)[12])
        if struct.unpack_from("<I", GOOD, section_header(n) + 4)[0] == 2
    )
    start, size = struct.unpack_from("<QQ", GOOD, table + 24)
    for place in range(start, start + size, 24):
        if data[place + 4] & 0xF == 2:  # STT_FUNC
            struct.pack_into("<Q", data, place + 16, 1 << 40)
    with pytest.raises(Refusal) as refused:
        reader.read(bytes(data), "bad.o")
    shows(refused.value, "object-malformed")
    assert "outside its section" in refused.value.found


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=4)
)
def test_changed_bytes_end_in_a_refusal_or_do_no_harm(edits: list[tuple[int, int]]) -> None:
    data = bytearray(PATCHED[: len(GOOD)].ljust(len(GOOD), b"\0"))
    for place, value in edits:
        data[place] = value
    refused_or_read(bytes(data))
