# SPDX-License-Identifier: GPL-2.0-or-later
"""Bootable images, packed by the very commands that the kernel's build runs
(``scripts/Makefile.lib``)."""

from __future__ import annotations

import shutil
import struct
import subprocess
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suture.errors import Refusal
from suture.kernel import boot_image
from tests.unit.conftest import bzimage as make_bzimage
from tests.unit.conftest import only_refusals

PACKERS = {
    "gzip": ["gzip", "-n", "-f", "-9"],
    "bzip2": ["bzip2", "-9"],
    "lzma": ["lzma", "-9"],
    "lzma-known-size": ["xz", "--format=lzma", "-9"],
    "xz": ["xz", "--check=crc32", "--x86", "--lzma2=dict=32MiB"],
    "lzo": ["lzop", "-9"],
    "lz4": ["lz4", "-l", "-9", "-", "-"],
    "zstd": ["zstd", "-19"],
    "zstd22": ["zstd", "-22", "--ultra"],
}


@lru_cache
def pack(kernel: bytes, name: str) -> bytes:
    command = PACKERS[name]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    packed = subprocess.run(command, input=kernel, capture_output=True, check=True).stdout
    return packed if name == "gzip" else packed + struct.pack("<I", len(kernel))


@pytest.mark.parametrize("name", PACKERS)
def test_the_kernel_comes_out_as_it_was_packed(name: str, stripped_kernel: bytes) -> None:
    assert (
        boot_image.decompress(make_bzimage(pack(stripped_kernel, name)), "vmlinuz")
        == stripped_kernel
    )


def test_several_lz4_blocks_come_out_in_order(stripped_kernel: bytes) -> None:
    kernel = stripped_kernel + bytes(range(256)) * (20 << 12)
    assert len(kernel) > 2 * boot_image.LZ4_LEGACY_BLOCK
    assert boot_image.decompress(make_bzimage(pack(kernel, "lz4")), "vmlinuz") == kernel


def test_no_setup_sectors_mean_four(stripped_kernel: bytes) -> None:
    assert (
        boot_image.decompress(make_bzimage(pack(stripped_kernel, "gzip"), setup_sects=0), "z")
        == stripped_kernel
    )


@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_image_is_refused(name: str, keep: float, stripped_kernel: bytes) -> None:
    image = make_bzimage(pack(stripped_kernel, name))
    with pytest.raises(Refusal) as refusal:
        boot_image.decompress(image[: int((len(image) - 18) * keep)], "vmlinuz")
    assert refusal.value.code == "image-malformed"
    assert "vmlinuz" in str(refusal.value)


@pytest.mark.parametrize("name", PACKERS)
def test_a_cut_payload_is_refused_although_the_header_fits_it(
    name: str, stripped_kernel: bytes
) -> None:
    packed = pack(stripped_kernel, name)
    size = struct.pack("<I", len(stripped_kernel))
    with pytest.raises(Refusal) as refusal:
        boot_image.decompress(make_bzimage(packed[: len(packed) // 2] + size), "vmlinuz")
    assert refusal.value.code == "image-malformed"


@pytest.mark.parametrize("name", PACKERS)
def test_a_wrong_recorded_size_is_refused(name: str, stripped_kernel: bytes) -> None:
    packed = pack(stripped_kernel, name)
    with pytest.raises(Refusal) as refusal:
        boot_image.decompress(
            make_bzimage(packed[:-4] + struct.pack("<I", len(stripped_kernel) - 1)), "vmlinuz"
        )
    assert refusal.value.code == "image-malformed"


def test_what_is_packed_has_to_be_elf() -> None:
    with pytest.raises(Refusal, match="not an ELF file"):
        boot_image.decompress(make_bzimage(pack(b"just text" * 100, "xz")), "vmlinuz")


@pytest.mark.parametrize(
    "content", [b"", b"MZ", b"\x7fELF" + bytes(1000), b"text\n" * 500], ids=repr
)
def test_a_foreign_file_is_refused(content: bytes) -> None:
    with pytest.raises(Refusal, match="no boot header that Suture knows"):
        boot_image.decompress(content, "vmlinuz")


def test_an_unknown_compression_is_refused() -> None:
    with pytest.raises(Refusal, match="no known compression"):
        boot_image.decompress(make_bzimage(b"unheard of" * 9), "vmlinuz")


def test_a_boot_protocol_without_payload_fields_is_refused(stripped_kernel: bytes) -> None:
    image = bytearray(make_bzimage(pack(stripped_kernel, "gzip")))
    struct.pack_into("<H", image, 0x206, 0x0207)
    with pytest.raises(Refusal, match="does not say where the payload is"):
        boot_image.decompress(bytes(image), "vmlinuz")


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(["gzip", "bzip2", "xz", "lzma", "lz4", "zstd"]),
    place=st.floats(0, 1, exclude_max=True),
    noise=st.binary(min_size=1, max_size=12),
)
def test_a_damaged_image_is_refused_or_read_right(name: str, place: float, noise: bytes) -> None:
    kernel = b"\x7fELF" + b"all work and no play " * 300
    image = bytearray(make_bzimage(pack(kernel, name)))
    start = int(place * len(image))
    image[start : start + len(noise)] = noise
    with only_refusals("image-malformed"):
        boot_image.decompress(bytes(image), "vmlinuz")
