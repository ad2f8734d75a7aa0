# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading a linked kernel at its addresses, against what nm, objdump and readelf say of the same
file."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suture.errors import Refusal
from suture.kernel import image
from tests.unit.conftest import RELEASE, only_refusals


def address(kernel: Path, name: str) -> int:
    for line in subprocess.run(
        ["nm", kernel], capture_output=True, text=True, check=True
    ).stdout.splitlines():
        value, _, symbol = line.split()
        if symbol == name:
            return int(value, 16)
    raise KeyError(name)


def test_code_is_what_objdump_shows(toy_kernel: Path) -> None:
    command = ["objdump", "-d", "--disassemble=startup", "--insn-width=16", str(toy_kernel)]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    code = bytes.fromhex(
        "".join(re.findall(r"^[0-9a-f]{16}:\t([0-9a-f ]+)", listing, re.MULTILINE)).replace(" ", "")
    )
    assert len(code) > 8
    assert image.read(toy_kernel).read(address(toy_kernel, "startup"), len(code)) == code


def test_data_percpu_and_bss_are_read_at_their_addresses(toy_kernel: Path) -> None:
    kernel = image.read(toy_kernel)
    assert kernel.read(address(toy_kernel, "counter"), 4) == (42).to_bytes(4, "little")
    assert address(toy_kernel, "this_cpu_value") < 4096
    assert kernel.read(address(toy_kernel, "this_cpu_value"), 8) == (0x1122334455667788).to_bytes(
        8, "little"
    )
    assert kernel.read(address(toy_kernel, "zeroes"), 256) == bytes(256)


@pytest.mark.parametrize(
    ("start", "size"), [(0xFFFFFFFF80000000, 1), (0x1000_0000, 8), (0, 1 << 40), (1 << 70, 1)]
)
def test_an_address_outside_every_segment_has_no_bytes(
    toy_kernel: Path, start: int, size: int
) -> None:
    assert image.read(toy_kernel).read(start, size) is None


def test_sections_are_found_by_name(toy_kernel: Path) -> None:
    kernel = image.read(toy_kernel)
    rodata = kernel.section(".rodata")
    assert rodata is not None
    assert b"Linux version" in rodata
    assert kernel.section(".bss") == b""
    assert kernel.section(".BTF") is None


def test_the_banner_is_the_one_that_the_kernel_prints(toy_kernel: Path) -> None:
    kernel = image.read(toy_kernel)
    assert (
        kernel.banner
        == f"Linux version {RELEASE} (a@b) (gcc 12) #1 SMP Debian 6.1.0-1 (2026-01-01)"
    )
    assert kernel.release == RELEASE


def test_a_program_is_no_kernel() -> None:
    with pytest.raises(Refusal, match="banner") as refusal:
        image.read(Path("/bin/true"))
    assert refusal.value.code == "image-malformed"


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\x7fELF", b"\x7fELF\x01\x01\x01" + bytes(100)], ids=repr
)
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vmlinux").write_bytes(content)
    with pytest.raises(Refusal) as refusal:
        image.read(tmp_path / "vmlinux")
    assert refusal.value.code == "image-malformed"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refusal:
        image.read(tmp_path / "vmlinux")
    assert refusal.value.code == "file-unreadable"


def test_an_object_of_another_machine_is_refused(tmp_path: Path, stripped_kernel: bytes) -> None:
    foreign = bytearray(stripped_kernel)
    foreign[18:20] = (183).to_bytes(2, "little")
    (tmp_path / "vmlinux").write_bytes(foreign)
    with pytest.raises(Refusal, match="machine 183"):
        image.read(tmp_path / "vmlinux")


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    place=st.one_of(st.integers(0, 64 + 3 * 56), st.integers(0, 200_000)),
    noise=st.binary(min_size=1, max_size=16),
    cut=st.integers(0, 200_000),
)
def test_a_damaged_file_is_refused_or_read(
    tmp_path: Path, stripped_kernel: bytes, place: int, noise: bytes, cut: int
) -> None:
    damaged = bytearray(stripped_kernel)
    damaged[place : place + len(noise)] = noise
    path = tmp_path / "vmlinux"
    path.unlink(missing_ok=True)
    path.write_bytes(damaged[: max(cut, 1)])
    with only_refusals("image-malformed"):
        kernel = image.read(path)
        kernel.section(".text")
        kernel.read(0xFFFFFFFF81000000, 64)
