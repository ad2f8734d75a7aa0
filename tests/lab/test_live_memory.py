# SPDX-License-Identifier: GPL-2.0-or-later
"""The memory of a running kernel beside its image: everything that the kernel wrote into its own
code is understood, and what somebody else wrote is found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from suture.builder.artifact import Artifact
from suture.host import run
from suture.kernel.release import Target
from suture.lab.machine import Machine
from suture.model import VMLINUX
from suture.report import markdown
from suture.report.content import PatchReport
from suture.report.verification import of_module
from suture.verify.kernel import Kernel
from suture.verify.live.compare import LiveFunction
from suture.verify.live.running import RunningKernel
from suture.verify.traceable import fentry_calls, is_traceable
from suture.workspace import kbuild
from suture.workspace.prepare import Workspace
from tests.lab.conftest import MakeEach
from tests.lab.guest import Guest
from tests.lab.live_copy import copy_live
from tests.patches import Edit

FIX = Edit(
    "fs/proc/cmdline.c",
    "\tseq_puts(m, saved_command_line);\n",
    '\tseq_puts(m, "sutured ");\n\tseq_puts(m, saved_command_line);\n',
)
PROBED, TRACED, WRITTEN = "vfs_read", "vfs_write", "cmdline_proc_show"

LEAST_FUNCTIONS = 30_000

WRITER = """
#include <linux/io.h>
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/vmalloc.h>

static int __init plant(void)
{
	struct kprobe probe = { .symbol_name = "%s" };
	unsigned long place;
	struct page *page;
	u8 *alias;

	if (register_kprobe(&probe))
		return -ENOENT;
	place = (unsigned long)probe.addr + 9;
	unregister_kprobe(&probe);
	page = pfn_to_page((place - __START_KERNEL_map + phys_base) >> PAGE_SHIFT);
	alias = vmap(&page, 1, VM_MAP, PAGE_KERNEL);
	if (!alias)
		return -ENOMEM;
	alias[offset_in_page(place)] ^= 1;
	vunmap(alias);
	return 0;
}
module_init(plant);
MODULE_LICENSE("GPL");
"""
"""Changes one byte of a function, through another mapping of its page."""


@dataclass(frozen=True, slots=True)
class Running:
    """A kernel in whose functions there are a live patch and two probes.

    :ivar root: a copy of what it shows of itself.
    """

    guest: Guest
    kernel: Kernel
    patch: Artifact
    root: Path


@pytest.fixture(scope="session")
def writer(each_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    directory = tmp_path_factory.mktemp("writer")
    (directory / "writer.c").write_text(WRITER % WRITTEN)
    (directory / "Makefile").write_text("obj-m := writer.o\n")
    release, compiler = each_workspace.target.release, each_workspace.compiler
    command = kbuild.make_command(release, compiler, f"M={directory}", "modules")
    run.check(command, cwd=each_workspace.tree, env=kbuild.clean_environment())
    return (directory / "writer.ko").read_bytes()


@pytest.fixture(scope="session")
def running(
    each_target: Target, make_each: MakeEach, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    patch = make_each("live", (FIX,))
    kernel = Kernel(each_target)
    with Machine.boot(each_target, modules=["ext4"], memory=1024) as machine:
        guest = Guest(machine)
        guest.sh("modprobe ext4")
        guest.load(patch)
        place = second_instruction(kernel, PROBED)
        for number, where in enumerate((f"{PROBED}+{place}", TRACED)):
            guest.sh(f"echo 'p:suture/p{number} {where}' >>/sys/kernel/tracing/kprobe_events")
        guest.sh("echo 1 >/sys/kernel/tracing/events/suture/enable; sleep 1")
        root = copy_live(machine, tmp_path_factory.mktemp("root"))
        yield Running(guest, kernel, patch, root)


def second_instruction(kernel: Kernel, name: str) -> int:
    """The offset of an instruction behind the call that a function begins with."""
    vmlinux = kernel.vmlinux
    (start,) = vmlinux.addresses(name)
    code = vmlinux.read(start, 64) or b""
    instructions = list(vmlinux.arch.decoding.instructions(code, start))
    calls = fentry_calls(vmlinux)
    position = next(n for n, one in enumerate(instructions) if one.start in calls)
    return instructions[position + 1].start - start


def compared(running: Running, objname: str) -> Iterator[tuple[str, LiveFunction]]:
    """All functions of an object that ftrace can redirect."""
    live = RunningKernel(running.kernel, running.root)
    shipped = running.kernel.shipped(objname)
    calls = fentry_calls(shipped)
    addresses = sorted({a for name in shipped.all_names() for a in shipped.addresses(name)})
    within = shipped.arch.entry.within
    for address in addresses:
        if is_traceable(calls, address, within) and not shipped.is_discarded(address):
            place = live.place(objname, address)
            found = live.comparison(objname).function(place, shipped.size(address))
            if found is not None:
                yield shipped.names(address)[0], found
    live.close()


def report_of(running: Running) -> PatchReport:
    return of_module(
        running.patch.path.read_bytes(), "live.ko", running.kernel.target, running.root
    )


def test_every_function_of_the_core_kernel_is_understood(running: Running) -> None:
    found = dict(compared(running, VMLINUX))
    assert len(found) > LEAST_FUNCTIONS
    assert {name: one for name, one in found.items() if one.differences} == {}
    assert {name for name, one in found.items() if one.calls} == {TRACED, WRITTEN}
    kinds = {kind for one in found.values() for kind in one.rewritten}
    assert {"tracer's call", "return thunk", "static call", "static branch"} <= kinds


@pytest.mark.parametrize("objname", ["ext4", "jbd2", "mbcache"])
def test_every_function_of_a_module_is_understood(running: Running, objname: str) -> None:
    found = list(compared(running, objname))
    assert len(found) > 10
    assert [name for name, one in found if one.differences] == []
    assert any("static call" in one.rewritten for _, one in found)


def test_the_report_of_a_live_patch_in_force(running: Running) -> None:
    report = report_of(running)
    assert report.verdict.fits
    assert report.live is not None
    assert {row.verdict for row in report.live.rows} == {"same"}
    (replaced,) = (row for row in report.live.rows if row.role == "replaced")
    assert (replaced.function, "live patch" in replaced.tracer) == (WRITTEN, True)
    assert {"seq_putc"} <= {row.function for row in report.live.rows if row.role == "reached"}
    assert "In this host's memory" in markdown.render(report)


def test_somebodys_probes_are_told(running: Running) -> None:
    live = RunningKernel(running.kernel, running.root)
    for name, is_called in ((PROBED, False), (TRACED, True)):
        (address,) = running.kernel.vmlinux.addresses(name)
        place, size = live.place(VMLINUX, address), running.kernel.vmlinux.size(address)
        found = live.comparison(VMLINUX).function(place, size)
        assert found is not None
        assert (found.differences, bool(found.calls)) == ((), is_called)
        (probe,) = live.probe_names(place, size)
        assert probe.startswith(name)
    live.close()


def test_a_probe_that_the_kernel_does_not_list_is_a_difference(
    running: Running, tmp_path: Path
) -> None:
    names = [path for path in running.root.rglob("*") if path.is_file()]
    for path in names:
        copy = tmp_path / path.relative_to(running.root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.symlink_to(path)
    (tmp_path / "sys/kernel/debug/kprobes/list").unlink()
    hidden = Running(running.guest, running.kernel, running.patch, tmp_path)
    live = RunningKernel(hidden.kernel, hidden.root)
    (address,) = hidden.kernel.vmlinux.addresses(PROBED)
    place, size = live.place(VMLINUX, address), hidden.kernel.vmlinux.size(address)
    found = live.comparison(VMLINUX).function(place, size)
    assert found is not None
    assert found.differences[0].found[:1] in (b"\xcc", b"\xe9")
    live.close()


def test_a_byte_that_somebody_wrote_is_found(
    running: Running, writer: bytes, tmp_path: Path
) -> None:
    running.guest.machine.put("/tmp/writer.ko", writer)
    running.guest.sh("insmod /tmp/writer.ko")
    root = copy_live(running.guest.machine, tmp_path)
    written = Running(running.guest, running.kernel, running.patch, root)
    report = report_of(written)
    assert not report.verdict.fits
    assert [one.code for one in report.verdict.problems] == ["live-memory-differs"]
    assert "live memory differs in 1 function" in report.verdict.headline
    assert report.live is not None
    assert [row.function for row in report.live.rows if row.differences] == [WRITTEN]
