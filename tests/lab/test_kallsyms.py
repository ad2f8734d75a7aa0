# SPDX-License-Identifier: GPL-2.0-or-later
"""The symbols that were read out of the image, against what the running kernel says of itself."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import pytest

from suture.kernel import kallsyms, modules
from suture.kernel.kallsyms import Kallsyms
from suture.kernel.release import Target
from suture.lab.machine import Machine
from suture.model import VMLINUX

KERNEL_HALF = 0xFFFFFFFF80000000
"""``__START_KERNEL_map``; what lies below is an offset into the per-CPU area, which KASLR does not
move."""


@pytest.fixture(scope="module")
def running(machine: Machine) -> Kallsyms:
    result = machine.run("modprobe loop && gzip -c /proc/kallsyms && modprobe -r loop")
    assert result.status == 0, result.text
    return kallsyms.parse(gzip.decompress(result.output), "/proc/kallsyms")


def test_the_kernels_own_list_is_ours_line_for_line(running: Kallsyms, target: Target) -> None:
    ours = kallsyms.read(target.kallsyms)
    shift = running.named("_text", VMLINUX)[0].address - ours.named("_text")[0].address
    moved = [
        symbol._replace(address=symbol.address + shift * (symbol.address >= KERNEL_HALF))
        for symbol in ours.symbols
    ]
    assert [symbol for symbol in running.symbols if symbol.module == VMLINUX] == moved


def test_a_modules_symbols_come_in_the_order_of_its_file(
    running: Kallsyms, target: Target, tmp_path: Path
) -> None:
    (tmp_path / "loop.ko").write_bytes(modules.read(modules.index(target)["loop"]))
    listed = subprocess.run(
        ["nm", "-p", tmp_path / "loop.ko"], capture_output=True, text=True, check=True
    ).stdout
    in_file = [line.split()[-1] for line in listed.splitlines()]
    in_kernel = [symbol.name for symbol in running.symbols if symbol.module == "loop"]
    assert len(in_kernel) > 50
    kept = set(in_kernel)
    assert in_kernel == [name for name in in_file if name in kept]
