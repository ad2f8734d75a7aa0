# SPDX-License-Identifier: GPL-2.0-or-later
"""Data that a live patch changes, in a booted kernel of each series: seen, put back, refused, taken
over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from suture.builder import build
from suture.builder.artifact import Artifact
from suture.builder.inputs import Choices
from suture.host import run
from suture.kernel.release import Target
from suture.lab.machine import Machine
from suture.workspace import kbuild
from suture.workspace.prepare import Workspace
from tests.lab.guest import Guest
from tests.patches import Edit, diff

pytestmark = pytest.mark.make_test_takes("6.1")

Build = Callable[..., Artifact]

TASK_MMU, DUMMY, VERSION = "fs/proc/task_mmu.c", "drivers/net/dummy.c", "fs/proc/version.c"

READABLE = "[ilog2(VM_READ)]\t= "
NO_CARRIER = Edit(DUMMY, "\t.ndo_change_carrier\t= dummy_change_carrier,\n", "")
NO_VALIDATE = Edit(DUMMY, "\t.validate\t= dummy_validate,\n", "")
BANNER = "seq_printf(m, linux_proc_banner,"
NEW_VERSION = Edit(VERSION, BANNER, f'seq_puts(m, "Sutured ");\n\t{BANNER}')

SOMEONE = r"""
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/vmalloc.h>
static unsigned long address;
module_param(address, ulong, 0);
static void put(char letter)
{
	struct page *page = virt_to_page(lm_alias((void *)address));
	char *mapped = vmap(&page, 1, VM_MAP, PAGE_KERNEL);

	mapped[address & ~PAGE_MASK] = letter;
	vunmap(mapped);
}
static int __init someone_init(void) { put('X'); return 0; }
static void __exit someone_exit(void) { put('r'); }
module_init(someone_init);
module_exit(someone_exit);
MODULE_LICENSE("GPL");
"""
"""Writes to read-only memory of the core kernel, and takes it back."""

FLAGS = "grep -m 1 VmFlags /proc/self/smaps | cut -d' ' -f2"
CARRIER = "echo 1 >/sys/class/net/dummy0/carrier"
MULTICAST = "ip link add wrong0 address 01:00:5e:00:00:01 type dummy"
DUMMY_UP = "modprobe dummy && ip link set dummy0 up"


def readable(text: str) -> Edit:
    """The two letters for VM_READ in a table of the core kernel."""
    return Edit(TASK_MMU, f'{READABLE}"rd"', f'{READABLE}"{text}"')


@pytest.fixture(scope="module")
def make(
    each_target: Target, each_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> Build:
    directory = tmp_path_factory.mktemp("data")

    def made(name: str, *edits: Edit, data: frozenset[str] = frozenset()) -> Artifact:
        path: Path = directory / f"{name}.patch"
        path.write_text(diff(each_workspace.tree, *edits))
        return build(
            [path], each_target, output=directory / f"{name}.ko", name=name, choices=Choices(data)
        )

    return made


@pytest.fixture(scope="module")
def guest(each_target: Target) -> Iterator[Guest]:
    with Machine.boot(each_target, modules=["dummy"]) as machine:
        yield Guest(machine)
        assert machine.complaints() == ()


def refused(guest: Guest, built: Artifact) -> str:
    """What the kernel says while it refuses a live patch."""
    said = len(guest.machine.kernel_log())
    guest.machine.put(f"/tmp/{built.patch.name}.ko", built.path.read_bytes())
    assert guest.machine.run(f"insmod /tmp/{built.patch.name}.ko").status != 0
    return guest.machine.kernel_log()[said:]


def test_a_constant_table_of_the_core_kernel(make: Build, guest: Guest) -> None:
    built = make("table", readable("RD"), data=frozenset({"mnemonics"}))
    assert [(variable.objname, variable.name.split(".")[0]) for variable in built.data_changes] == [
        ("vmlinux", "mnemonics")
    ]
    assert guest.sh(FLAGS) == "rd\n"
    guest.load(built)
    assert guest.sh(FLAGS) == "RD\n"
    guest.unload(built)
    assert guest.sh(FLAGS) == "rd\n"


def test_an_operation_structure_of_a_module_before_and_after_it_is_loaded(
    make: Build, guest: Guest
) -> None:
    built = make("operations", NO_CARRIER, data=frozenset({"dummy_netdev_ops"}))
    guest.load(built)
    guest.sh(DUMMY_UP)
    assert "not supported" in guest.machine.run(CARRIER).text, (
        "the module came after the live patch"
    )
    guest.unload(built)
    guest.sh(CARRIER)
    guest.load(built)
    assert "not supported" in guest.machine.run(CARRIER).text, "the module was there before"
    guest.unload(built)
    guest.sh(f"{CARRIER}; rmmod dummy")


def test_one_word_of_a_structure_that_the_kernel_writes_to(make: Build, guest: Guest) -> None:
    """Registered, it is a link in a list, and its maxtype and newlink are what they were."""
    built = make("member", NO_VALIDATE, data=frozenset({"dummy_link_ops"}))
    guest.sh("modprobe dummy")
    assert guest.machine.run(MULTICAST).status != 0
    guest.load(built)
    guest.sh(f"{MULTICAST} && ip link del wrong0")
    guest.unload(built)
    assert guest.machine.run(MULTICAST).status != 0
    guest.sh("ip link add right0 type dummy && rmmod dummy")


def test_a_value_that_someone_changed_is_refused_and_left(
    make: Build, guest: Guest, each_workspace: Workspace, tmp_path: Path
) -> None:
    built = make("table_again", readable("RD"), data=frozenset({"mnemonics"}))
    guest.machine.put("/tmp/someone.ko", compiled(each_workspace, tmp_path))
    guest.sh("insmod /tmp/someone.ko address=0x$(grep ' mnemonics' /proc/kallsyms | cut -d' ' -f1)")
    assert guest.sh(FLAGS) == "Xd\n"
    assert "table_again: mnemonics.0 in vmlinux does not hold its original value" in refused(
        guest, built
    )
    assert guest.sh(FLAGS) == "Xd\n"
    guest.sh("rmmod someone")
    guest.load(built)
    assert guest.sh(FLAGS) == "RD\n"
    guest.unload(built)


def compiled(workspace: Workspace, directory: Path) -> bytes:
    """`SOMEONE` as a module, made without Suture's own builder."""
    (directory / "someone.c").write_text(SOMEONE)
    (directory / "Makefile").write_text("obj-m := someone.o\n")
    command = kbuild.make_command(
        workspace.target.release, workspace.compiler, f"M={directory}", "modules"
    )
    run.check(command, cwd=workspace.tree, env=kbuild.clean_environment())
    return (directory / "someone.ko").read_bytes()


def test_a_successor_takes_over_and_others_are_refused(make: Build, guest: Guest) -> None:
    mnemonics = frozenset({"mnemonics"})
    first = make("first", readable("R1"), data=mnemonics)
    same = make("same", readable("R1"), NEW_VERSION, data=mnemonics)
    other = make("other", readable("R2"), data=mnemonics)
    code = make("code", NEW_VERSION)
    elsewhere = make("elsewhere", NO_CARRIER, data=frozenset({"dummy_netdev_ops"}))
    guest.load(first)
    assert "not compatible" in refused(guest, code), "the core asks for the state"
    said = refused(guest, elsewhere)
    assert "mnemonics" in said
    assert "is not by this one" in said
    assert guest.sh(FLAGS) == "R1\n"
    for successor, seen in ((same, "R1\n"), (other, "R2\n")):
        guest.load(successor)
        assert guest.sh(FLAGS) == seen
    assert guest.sh("ls /sys/kernel/livepatch").split() == ["other"]
    guest.sh("rmmod first same")
    guest.unload(other)
    assert guest.sh(FLAGS) == "rd\n", "what was there before the first"
