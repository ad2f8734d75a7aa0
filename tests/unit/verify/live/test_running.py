# SPDX-License-Identifier: GPL-2.0-or-later
"""A toy kernel that runs nowhere: its memory is a file, and what is in it is compared with its
image."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from suture.kernel import symtab
from suture.kernel.release import Target
from suture.model import VMLINUX
from suture.verify.kernel import Kernel
from suture.verify.live.outcome import LiveCheck, LiveOutcome, LiveRole
from suture.verify.live.running import CannotCompare, RunningKernel
from tests.examples import shows
from tests.live_root import make_root
from tests.unit.verify.kernel import vmlinux

RELEASE = "6.1.0-toy"
SOURCE = "int _stext(int x) { return x + 1; } int cmdline_proc_show(int x) { return x * 3 + 7; }"
NOP = bytes.fromhex("0f1f440000")
NOTE = b"VMCOREINFO\0KERNELOFFSET=%x\n"


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    data = vmlinux(SOURCE)
    listing = symtab.listing(data, "toy")
    assert listing is not None
    (tmp_path / "vmlinux").write_bytes(data)
    (tmp_path / "kallsyms").write_bytes(listing)
    none = tmp_path / "none"
    return Kernel(
        Target(
            RELEASE,
            "",
            none,
            tmp_path / "vmlinux",
            tmp_path / "kallsyms",
            none,
            none,
            none,
            none,
        )
    )


class Host:
    """A host that runs the toy kernel."""

    def __init__(self, kernel: Kernel, directory: Path) -> None:
        self._kernel = kernel
        self.root = directory
        self.memory = {
            region.address: bytearray(region.data)
            for region in kernel.vmlinux.regions()
            if region.is_code
        }
        places = kernel.vmlinux.image.section("__mcount_loc") or b""
        for (place,) in struct.iter_unpack("<Q", places):
            self.write(place, NOP)  # as ftrace does at boot

    def running(
        self, release: str = RELEASE, move: int = 0, kcore: bool = True, probes: str = ""
    ) -> RunningKernel:
        files = {
            "/proc/sys/kernel/osrelease": f"{release}\n".encode(),
            "/sys/kernel/debug/kprobes/list": probes.encode(),
        }
        memory = [(address, bytes(data)) for address, data in self.memory.items()]
        make_root(self.root, files, NOTE % move, memory)
        if not kcore:
            (self.root / "proc/kcore").unlink()
        return RunningKernel(self._kernel, self.root)

    def write(self, address: int, data: bytes) -> None:
        for start, memory in self.memory.items():
            if start <= address < start + len(memory):
                memory[address - start : address - start + len(data)] = data


@pytest.fixture
def host(kernel: Kernel, tmp_path: Path) -> Host:
    return Host(kernel, tmp_path / "root")


def check(live: RunningKernel, kernel: Kernel) -> LiveCheck:
    name = "cmdline_proc_show"
    (address,) = kernel.vmlinux.addresses(name)
    size = kernel.vmlinux.size(address)
    place = live.place(VMLINUX, address)
    result = live.comparison(VMLINUX).function(place, size)
    probes = tuple(live.probe_names(place, size))
    return LiveCheck(LiveRole.REPLACED, VMLINUX, name, place, result, "", "", probes)


def test_memory_that_nobody_touched_is_the_image(host: Host, kernel: Kernel) -> None:
    found = check(host.running(), kernel)
    assert not found.differs
    assert found.result is not None
    assert found.result.size > 0


def test_a_changed_byte_is_told_with_function_address_and_bytes(host: Host, kernel: Kernel) -> None:
    (address,) = kernel.vmlinux.addresses("cmdline_proc_show")
    address += len(NOP)
    before = kernel.vmlinux.read(address, 1) or b""
    host.write(address, b"\xc3")
    found = check(host.running(), kernel)
    outcome = LiveOutcome((found,), lists_probes=False)
    (refusal,) = outcome.refusals
    shows(refusal, "live-memory-differs")
    assert f"{address:#x}" in refusal.found
    assert refusal.evidence[0] == f"+0x5: expected {before.hex()}, found c3"
    assert "list of probes" in refusal.evidence[1]


def test_a_listed_probe_is_told_and_no_difference(host: Host, kernel: Kernel) -> None:
    (address,) = kernel.vmlinux.addresses("cmdline_proc_show")
    host.write(address + 5, b"\xcc")
    found = check(host.running(probes=f"{address + 5:x}  k  cmdline_proc_show+0x5    \n"), kernel)
    assert not found.differs
    assert found.probes == ("cmdline_proc_show+0x5",)


def test_another_kernel_is_not_compared(host: Host) -> None:
    with pytest.raises(CannotCompare, match=r"this host runs 6\.1\.0-50-amd64"):
        host.running(release="6.1.0-50-amd64")


def test_a_kernel_without_kcore_is_not_compared(host: Host) -> None:
    with pytest.raises(CannotCompare, match="CONFIG_PROC_KCORE"):
        host.running(kcore=False)


def test_a_kernel_that_moved_needs_the_list_of_what_moves(host: Host) -> None:
    with pytest.raises(CannotCompare, match="no list of what changes"):
        host.running(move=0x200000)


def test_memory_without_the_kernel_is_not_compared(host: Host) -> None:
    host.memory.clear()
    with pytest.raises(CannotCompare, match="shows nothing of the kernel's code"):
        host.running()


def test_a_module_that_is_not_loaded_is_not_compared(host: Host) -> None:
    with pytest.raises(CannotCompare, match="udf is not loaded"):
        host.running().comparison("udf")
