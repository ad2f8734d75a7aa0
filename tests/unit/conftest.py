# SPDX-License-Identifier: GPL-2.0-or-later
"""A toy kernel: linked at the kernel's addresses by the real tools, small enough to pack in every
way there is."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from suture.errors import Refusal

os.environ.pop("SUTURE_CACHE", None)  # tests work in caches of their own

RELEASE = "6.1.0-toy-amd64"

SOURCE = rf"""
const char weak_banner[] = "Linux version {RELEASE} (a@b) (gcc) # SMP weak\n";
const char linux_banner[] = "Linux version {RELEASE} (a@b) (gcc 12) #1 SMP Debian 6.1.0-1 (2026-01-01)\n";
const char filler[100000] = "a kernel is larger than one block of any compressor";
int counter = 42;
static int twin = 7;
int zeroes[64];
__attribute__((section(".data..percpu"))) int percpu_start = 1;
__attribute__((section(".data..percpu"))) long this_cpu_value = 0x1122334455667788;
static __attribute__((noinline)) int same(int x) {{ return x * twin; }}
int startup(int x) {{ return same(x) + counter + zeroes[x]; }}
__attribute__((weak)) int overridden(void) {{ return linux_banner[0] + weak_banner[0] + filler[0]; }}
"""

OTHER = """
static int twin = 8;
static __attribute__((noinline)) int same(int x) { return x - twin; }
int other(int x) { return same(x); }
"""

SCRIPT = """
PHDRS { text PT_LOAD; data PT_LOAD; percpu PT_LOAD; }
SECTIONS
{
    . = 0xffffffff81000000;
    .text : { *(.text*) } :text
    .rodata : { *(.rodata*) } :text
    . = ALIGN(0x1000);
    .data : { *(.data) } :data
    .data..percpu 0 : AT(0) { *(.data..percpu) } :percpu
    . = 0xffffffff81100000;
    .bss : { *(.bss) } :data
    /DISCARD/ : { *(.note*) *(.comment) *(.eh_frame) }
}
ENTRY(startup)
"""


@pytest.fixture(scope="session")
def toy_kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ``vmlinux`` with symbols."""
    directory = tmp_path_factory.mktemp("toy")
    for name, text in (("toy.c", SOURCE), ("other.c", OTHER), ("toy.lds", SCRIPT)):
        (directory / name).write_text(text)
    subprocess.run(
        [
            "gcc",
            "-O1",
            "-mcmodel=kernel",
            "-ffreestanding",
            "-fno-pic",
            "-fno-pie",
            "-c",
            "toy.c",
            "other.c",
        ],
        cwd=directory,
        check=True,
    )
    subprocess.run(
        ["ld", "-static", "-T", "toy.lds", "-o", "vmlinux", "toy.o", "other.o"],
        cwd=directory,
        check=True,
    )
    return directory / "vmlinux"


@pytest.fixture(scope="session")
def stripped_kernel(toy_kernel: Path) -> bytes:
    """What is packed into a bootable image (``arch/x86/boot/compressed/Makefile: vmlinux.bin``)."""
    stripped = toy_kernel.with_name("vmlinux.bin")
    subprocess.run(["objcopy", "-R", ".comment", "-S", toy_kernel, stripped], check=True)
    return stripped.read_bytes()


def bzimage(payload: bytes, setup_sects: int = 4) -> bytes:
    """A bootable image around a packed payload, laid out as ``Documentation/arch/x86/boot.rst``
    says."""
    header = bytearray((max(setup_sects, 1) + 1) * 512 if setup_sects else 5 * 512)
    header[0x1F1] = setup_sects
    header[0x1FE:0x200] = b"\x55\xaa"
    header[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", header, 0x206, 0x020F)
    struct.pack_into("<II", header, 0x248, 32, len(payload))
    return bytes(header) + b"\x90" * 32 + payload + b"trailing boot code"


@contextmanager
def only_refusals(*codes: str) -> Iterator[None]:
    """What damaged input may end in: nothing wrong, or a refusal with one of these codes."""
    try:
        yield
    except Refusal as refusal:
        if refusal.code not in codes:
            raise
