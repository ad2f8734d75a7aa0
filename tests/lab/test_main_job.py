# SPDX-License-Identifier: GPL-2.0-or-later
"""The main job on a real kernel: source diffs become live patches, and what the booted kernel says
shows it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from suture.builder import build
from suture.builder.artifact import Artifact
from suture.kernel.release import Target
from suture.lab.machine import Machine
from suture.workspace.prepare import Workspace
from tests.lab.guest import Guest
from tests.patches import Edit, diff

Build = Callable[..., Artifact]

MEMINFO, VERSION, INODE = "fs/proc/meminfo.c", "fs/proc/version.c", "fs/inode.c"
CPUINFO, NULL_BLK = "arch/x86/kernel/cpu/proc.c", "drivers/block/null_blk/main.c"

NEW_TOTAL = Edit(MEMINFO, '"MemTotal:       "', '"SutTotal:       "')
COUNTER = (
    Edit(
        MEMINFO,
        "static int meminfo_proc_show(",
        "static unsigned long shown = 41;\n\n"
        "static noinline void count_reader(void)\n{\n"
        '\tshown++;\n\tpr_info("suture: meminfo shown %lu times\\n", shown);\n}\n\n'
        "static int meminfo_proc_show(",
    ),
    Edit(MEMINFO, "\tsi_meminfo(&i);\n", "\tcount_reader();\n\tsi_meminfo(&i);\n"),
)
NEW_VERSION = Edit(
    VERSION,
    "seq_printf(m, linux_proc_banner,",
    'seq_puts(m, "Sutured ");\n\tseq_printf(m, linux_proc_banner,',
)
ALWAYS_NEW_BATCH = Edit(INODE, "if (unlikely((res & (LAST_INO_BATCH-1)) == 0)) {", "if (true) {")
THROUGH_POINTER = Edit(
    CPUINFO,
    "\t(*pos)++;\n\treturn c_start(m, pos);",
    "\tvoid *(*start)(struct seq_file *, loff_t *) = c_start;\n\n"
    "\tOPTIMIZER_HIDE_VAR(start);\n"
    '\tpr_info("suture: next cpu by %ps\\n", start);\n'
    "\t(*pos)++;\n\treturn start(m, pos);",
)
NEW_FEATURES = Edit(NULL_BLK, '"badblocks,blocking,', '"sutured,badblocks,blocking,')


@pytest.fixture(scope="module")
def make(target: Target, workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """From edits of the target's source to a live patch module, by way of a patch file for each
    group of edits."""
    directory = tmp_path_factory.mktemp("modules")

    def made(name: str, *groups: tuple[Edit, ...]) -> Artifact:
        patches: list[Path] = []
        for number, edits in enumerate(groups):
            patches.append(directory / f"{name}-{number}.patch")
            patches[-1].write_text(diff(workspace.tree, *edits))
        return build(patches, target, output=directory / f"{name}.ko", name=name)

    return made


@pytest.fixture(scope="module")
def guest(target: Target) -> Iterator[Guest]:
    with Machine.boot(target, modules=["null_blk"]) as machine:
        yield Guest(machine)
        assert machine.complaints() == ()


def replaced(built: Artifact) -> set[tuple[str, str]]:
    return {
        (patched.name, function.old_name)
        for patched in built.patch.objects
        for function in patched.functions
    }


def test_a_string_in_a_static_function_changes_and_changes_back(make: Build, guest: Guest) -> None:
    built = make("one_string", (NEW_TOTAL,))
    assert replaced(built) == {("vmlinux", "meminfo_proc_show")}
    assert guest.meminfo() == "MemTotal"
    guest.load(built)
    assert guest.meminfo() == "SutTotal"
    guest.unload(built)
    assert guest.meminfo() == "MemTotal"


def test_new_function_and_variable_keep_their_value_between_calls(
    make: Build, guest: Guest
) -> None:
    built = make("counter", COUNTER)
    guest.load(built)
    for _ in range(3):
        guest.meminfo()
    said = re.findall(r"suture: meminfo shown (\d+) times", guest.machine.kernel_log())
    assert said == ["42", "43", "44"]
    guest.unload(built)


def test_static_local_of_the_running_kernel_is_shared(make: Build, guest: Guest) -> None:
    """get_next_ino() hands out batches from a static local; a copy of it would start again at 1."""
    first = inode_of_a_pipe(guest)
    built = make("every_inode_a_batch", (ALWAYS_NEW_BATCH,))
    assert ("vmlinux", "get_next_ino") in replaced(built)
    guest.load(built)
    numbers = [inode_of_a_pipe(guest) for _ in range(3)]
    assert first < numbers[0] < numbers[1] < numbers[2]
    assert {number % 1024 for number in numbers} == {1}, "each call takes a batch of LAST_INO_BATCH"
    guest.unload(built)


def inode_of_a_pipe(guest: Guest) -> int:
    return int(
        guest.sh("echo | readlink /proc/self/fd/0").strip().removeprefix("pipe:[").removesuffix("]")
    )


def test_right_one_of_two_namesakes_is_replaced_and_reached(make: Build, guest: Guest) -> None:
    """c_start() and c_next() are in arch/x86/kernel/cpu/proc.c and in crypto/proc.c."""
    built = make("namesakes", (THROUGH_POINTER,))
    (function,) = built.patch.objects[0].functions
    addresses = guest.sh("grep -w c_next /proc/kallsyms").splitlines()
    assert len(addresses) > 1
    assert function.old_name == "c_next"
    assert function.sympos > 0
    crypto = guest.sh("cat /proc/crypto")
    processors = guest.sh("grep -c ^processor /proc/cpuinfo")
    guest.load(built)
    assert guest.sh("grep -c ^processor /proc/cpuinfo") == processors
    assert "suture: next cpu by c_start" in guest.machine.kernel_log()
    said = guest.machine.kernel_log().count("suture: next cpu")
    assert guest.sh("cat /proc/crypto") == crypto
    assert guest.machine.kernel_log().count("suture: next cpu") == said, (
        "crypto's own c_next() still runs"
    )
    guest.unload(built)


def test_module_before_and_after_the_patch_and_loaded_again_while_it_is_in_force(
    make: Build, guest: Guest
) -> None:
    built = make("features", (NEW_FEATURES,))
    assert replaced(built) == {("null_blk", "memb_group_features_show")}
    features = "mkdir -p /tmp/c; mount -t configfs none /tmp/c 2>/dev/null; cut -d, -f1 /tmp/c/nullb/features"
    guest.sh("modprobe null_blk nr_devices=0")
    assert guest.sh(features) == "badblocks\n"
    guest.load(built)
    assert guest.sh(features) == "sutured\n", "it was loaded before the patch"
    guest.sh("rmmod null_blk; modprobe null_blk nr_devices=0")
    assert guest.sh(features) == "sutured\n", "it was loaded again while the patch is in force"
    guest.unload(built)
    assert guest.sh(features) == "badblocks\n"
    guest.sh("rmmod null_blk")
    guest.load(built)
    guest.sh("modprobe null_blk nr_devices=0")
    assert guest.sh(features) == "sutured\n", "it was loaded after the patch"
    guest.unload(built)
    guest.sh("rmmod null_blk")


def test_two_built_in_files_and_a_module_in_one_patch(make: Build, guest: Guest) -> None:
    built = make("three_files", (NEW_TOTAL, NEW_VERSION, NEW_FEATURES))
    assert {objname for objname, _ in replaced(built)} == {"vmlinux", "null_blk"}
    guest.sh("modprobe null_blk nr_devices=0")
    guest.load(built)
    assert guest.meminfo() == "SutTotal"
    assert guest.sh("cat /proc/version").startswith("Sutured Linux version")
    assert guest.sh("cut -d, -f1 /tmp/c/nullb/features") == "sutured\n"
    guest.unload(built)
    assert guest.sh("cat /proc/version").startswith("Linux version")
    guest.sh("rmmod null_blk")


def test_two_patch_files_become_one_live_patch_that_replaces_an_earlier_one(
    make: Build, guest: Guest
) -> None:
    earlier = make("earlier", (NEW_TOTAL,))
    both = make("both", (NEW_TOTAL,), (NEW_VERSION,))
    assert both.patch.replace
    guest.load(earlier)
    assert not guest.sh("cat /proc/version").startswith("Sutured")
    guest.load(both)
    assert guest.meminfo() == "SutTotal"
    assert guest.sh("cat /proc/version").startswith("Sutured")
    assert guest.sh("ls /sys/kernel/livepatch").split() == ["both"], (
        "the earlier one is disabled and gone"
    )
    guest.sh("rmmod earlier")
    guest.unload(both)
    assert guest.meminfo() == "MemTotal"
