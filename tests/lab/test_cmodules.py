# SPDX-License-Identifier: GPL-2.0-or-later
"""kGraft and livepatch modules, built from sources as their authors wrote them, at work on both
kernels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from suture.builder.artifact import Artifact
from suture.builder.cmodules import build_modules
from suture.formats.recognise import recognise
from suture.kernel.release import Target
from suture.lab.machine import Machine
from suture.workspace.prepare import Workspace
from tests.lab import programs

pytestmark = pytest.mark.make_test_takes("6.12")

SOURCES = Path(__file__).parent / "sources"
MODULES = ("null_blk",)
"""Of the target's modules, those that sources patch."""

CALLS = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

/* As a program does that leaves something in the upper half of the register. */
static long iopl64(unsigned long level)
{
    return syscall(SYS_iopl, 0xffffffff00000000ul | level);
}

static long iopl32(unsigned int level)
{
    long result;

    __asm__ volatile("int $0x80" : "=a"(result) : "a"(110), "b"(level) : "memory");
    return result;
}

static long getpgid32(unsigned int pid)
{
    long result;

    __asm__ volatile("int $0x80" : "=a"(result) : "a"(132), "b"(pid) : "memory");
    return result;
}

int main(int argc, char **argv)
{
    struct utsname name;

    if (!strcmp(argv[1], "iopl64"))
        printf("%ld\n", iopl64(atoi(argv[2])));
    else if (!strcmp(argv[1], "iopl32"))
        printf("%ld\n", iopl32(atoi(argv[2])));
    else if (!strcmp(argv[1], "getpid"))
        printf("%d\n", syscall(SYS_getpid) > 1000000);
    else if (!strcmp(argv[1], "getppid"))
        printf("%ld\n", syscall(SYS_getppid));
    else if (!strcmp(argv[1], "getpgid64"))
        printf("%ld\n", syscall(SYS_getpgid, 0xffffffff00000000ul | atoi(argv[2])));
    else if (!strcmp(argv[1], "getpgid32"))
        printf("%ld\n", getpgid32(atoi(argv[2])));
    else if (!uname(&name))
        printf("%s\n", name.sysname);
    return 0;
}
"""


@pytest.fixture(scope="module")
def built(
    each_target: Target, each_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Artifact]:
    """All modules by name: ours, and the target's own samples."""
    output = tmp_path_factory.mktemp("modules")
    directories = [
        SOURCES / "kgraft",
        SOURCES / "livepatch",
        SOURCES / "suse",
        SOURCES / "suse15",
        each_workspace.tree / "samples" / "livepatch",
    ]
    made = [
        one
        for each in directories
        for one in build_modules(recognise(each), each_target, output=output)
    ]
    return {one.name: one for one in made}


class Guest:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def sh(self, command: str) -> str:
        result = self.machine.run(command)
        assert result.status == 0, result.text
        return result.text

    def load(self, name: str) -> None:
        self.sh(f"insmod /lab/{name}.ko")
        self.sh(
            f"while [ $(cat /sys/kernel/livepatch/{name}/transition) != 0 ]; do sleep 0.1; done"
        )

    def disable(self, name: str) -> None:
        self.sh(f"echo 0 >/sys/kernel/livepatch/{name}/enabled")
        self.sh(f"while [ -d /sys/kernel/livepatch/{name} ]; do sleep 0.1; done")

    def remove(self, name: str) -> None:
        """The core lets go of the module a moment after the directory is gone."""
        self.sh(f"for try in 1 2 3 4 5 6 7 8 9; do rmmod {name} && exit; sleep 0.2; done; exit 1")

    def unload(self, name: str) -> None:
        self.disable(name)
        self.remove(name)

    def features(self) -> str:
        """What null_blk says of itself; it is loaded if it is not there."""
        self.sh("[ -d /sys/module/null_blk ] || modprobe null_blk nr_devices=0")
        return self.sh("cat /tmp/c/nullb/features")

    def log(self, word: str) -> list[str]:
        """What the kernel has said with a word in it, without the time."""
        return [
            line.partition("] ")[2]
            for line in self.machine.kernel_log().splitlines()
            if word in line
        ]


@pytest.fixture(scope="module")
def guest(
    each_target: Target, built: Mapping[str, Artifact], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guest]:
    files = {f"/lab/{name}.ko": one.path.read_bytes() for name, one in built.items()}
    files["/lab/call"] = programs.static(CALLS, tmp_path_factory.mktemp("calls"))
    with Machine.boot(each_target, modules=MODULES, files=files) as machine:
        machine.run("modprobe configfs && mkdir -p /tmp/c && mount -t configfs configfs /tmp/c")
        yield Guest(machine)
        assert machine.complaints() == ()


# --- kGraft


def test_two_functions_change_and_change_back_between_init_and_exit(guest: Guest) -> None:
    before = guest.sh("cat /proc/cmdline /proc/version")
    guest.load("two_functions")
    assert guest.sh("cat /proc/cmdline /proc/version") == "kgraft: command line\nkgraft: version\n"
    guest.disable("two_functions")
    assert guest.log("author:") == ["author: init"]
    guest.remove("two_functions")
    assert guest.log("author:") == ["author: init", "author: exit"]
    assert guest.sh("cat /proc/cmdline /proc/version") == before


def test_first_spelling_with_declarations(guest: Guest) -> None:
    guest.load("first_spelling")
    assert guest.sh("cat /proc/uptime /proc/loadavg") == "12345.67 89.10\n4.20 4.20 4.20 1/1 1\n"
    guest.disable("first_spelling")
    assert guest.sh("cut -d' ' -f1 /proc/uptime") != "12345.67\n"


def test_module_that_is_not_loaded_yet_beside_the_core_kernel(guest: Guest) -> None:
    guest.load("module_objects")
    assert guest.sh("cat /proc/version") == "kgraft: version beside a module\n"
    assert guest.features() == "kgraft: features\n"
    guest.unload("module_objects")
    assert "kgraft" not in guest.features()
    guest.sh("rmmod null_blk")


def test_all_earlier_patches_are_replaced(guest: Guest, built: Mapping[str, Artifact]) -> None:
    patch = built["replaces_all"].patch
    assert patch is not None
    assert patch.replace
    guest.load("two_functions")
    guest.load("replaces_all")
    assert "kgraft" not in guest.sh("cat /proc/cmdline")
    assert (
        guest.sh("cat /proc/version; ls /sys/kernel/livepatch")
        == "kgraft: the only version\nreplaces_all\n"
    )
    guest.remove("two_functions")
    guest.unload("replaces_all")


def test_system_calls_by_their_old_names(guest: Guest) -> None:
    calls = "for call in getpid uname 'iopl64 3' 'iopl32 3' 'iopl64 2'; do /lab/call $call; done"
    before = guest.sh(calls)
    guest.load("system_calls")
    assert guest.sh(calls).split() == ["1", "kGraft", "77", "77", "-1"]
    guest.unload("system_calls")
    assert guest.sh(calls) == before


def test_a_task_asleep_in_new_code_is_waited_for(guest: Guest) -> None:
    """It is below the wrapper, the author's function and a helper; the live patch stays until it
    has left them."""
    guest.load("sleeps")
    slept = guest.sh(
        "/lab/call iopl64 0 >/tmp/answer & pid=$!; until grep -q wait_and_answer /proc/$pid/stack; do sleep 0.1; done; "
        "cd /sys/kernel/livepatch; echo 0 >sleeps/enabled; "
        "while [ -d sleeps ] && [ $(cat /proc/[0-9]*/task/*/patch_state 2>/dev/null | grep -c '^1') != 1 ]; "
        "do sleep 0.1; done; "
        "cat sleeps/transition /proc/$pid/patch_state; echo N >/sys/module/sleeps/parameters/hold; wait $pid; "
        "cat /tmp/answer"
    )
    assert slept == "1\n1\n77\n"
    guest.sh("while [ -d /sys/kernel/livepatch/sleeps ]; do sleep 0.1; done")
    guest.remove("sleeps")


def test_what_is_no_longer_exported_is_reached(guest: Guest) -> None:
    line, version = guest.sh("cat /proc/cmdline"), guest.sh("cat /proc/version")
    guest.load("unexported")
    assert guest.sh("cat /proc/cmdline") == f"kgraft: {line}{version}"
    guest.unload("unexported")


def test_data_changes_before_the_code_and_is_put_back_after_it(guest: Guest) -> None:
    before = guest.sh("cat /proc/sys/kernel/pid_max").strip()
    guest.load("init_and_exit")
    assert guest.sh("cat /proc/version /proc/sys/kernel/pid_max").splitlines() == [
        f"kgraft: pids to 23456, not {before}",
        "23456",
    ]
    guest.unload("init_and_exit")
    assert guest.sh("cat /proc/sys/kernel/pid_max").strip() == before


def test_several_files_and_a_makefile(guest: Guest) -> None:
    guest.load("several_files")
    said = guest.sh("cat /proc/cmdline /proc/cmdline")
    assert said == "kgraft: shown 41 times, level 7\nkgraft: shown 42 times, level 7\n"
    guest.unload("several_files")


# --- livepatch


def test_older_interface(guest: Guest) -> None:
    guest.load("registered")
    assert guest.sh("cat /proc/cmdline") == "livepatch: registered\n"
    guest.unload("registered")
    assert "author: unregistered" in guest.log("author:")


def test_callbacks_change_data_and_put_it_back(guest: Guest) -> None:
    before = guest.sh("cat /proc/sys/kernel/pid_max")
    guest.load("changes_data")
    assert guest.sh("cat /proc/sys/kernel/pid_max") == "12345\n"
    guest.disable("changes_data")
    assert guest.sh("cat /proc/sys/kernel/pid_max") == before
    guest.remove("changes_data")


def test_shadow_variable_lives_from_pre_patch_to_post_unpatch(guest: Guest) -> None:
    guest.load("shadows")
    assert (
        guest.sh("cat /proc/version /proc/version") == "livepatch: count 11\nlivepatch: count 12\n"
    )
    guest.unload("shadows")
    assert guest.log("author:")[-2:] == ["author: count was 12", "author: shadow is gone"]


def test_livepatch_that_replaces(guest: Guest) -> None:
    guest.load("registered")
    guest.load("replaces")
    assert (
        guest.sh("cat /proc/version /proc/loadavg") == "livepatch: replaced\n1.00 2.00 3.00 1/1 1\n"
    )
    assert "livepatch" not in guest.sh("cat /proc/cmdline")
    guest.remove("registered")
    guest.unload("replaces")


def test_static_variable_of_a_module_that_comes_later(guest: Guest) -> None:
    guest.load("of_module")
    assert guest.features() == "livepatch: 1 queues\n"
    guest.unload("of_module")
    guest.sh("rmmod null_blk")


def test_symbols_that_the_author_names(guest: Guest) -> None:
    version = guest.sh("cat /proc/version")
    guest.load("named_symbols")
    assert guest.sh("cat /proc/cmdline") == f"livepatch: {version}"
    assert guest.features() == "livepatch: 1 queues, by name\n"
    guest.unload("named_symbols")
    guest.sh("rmmod null_blk")


def test_livepatch_of_system_calls_by_their_old_names(guest: Guest) -> None:
    calls = "for call in 'iopl64 2' 'iopl32 2' 'iopl32 3' getppid; do /lab/call $call; done; cat /proc/version"
    before = guest.sh(calls)
    guest.load("old_calls")
    assert guest.sh(calls).splitlines() == ["66", "66", "-22", "4321", "livepatch: old calls"]
    assert guest.log("author:")[-1] == "author: patched"
    guest.unload("old_calls")
    assert guest.sh(calls).split()[:3] == before.split()[:3]


def test_livepatch_of_a_system_call_by_its_registers(guest: Guest) -> None:
    guest.load("todays_call")
    assert guest.sh("/lab/call iopl64 1; /lab/call iopl32 1").split()[0] == "55"
    guest.unload("todays_call")


def test_directory_as_suse_packages_it(guest: Guest) -> None:
    before = guest.sh("/lab/call uname; cat /proc/version")
    second = guest.sh("grep ' c_next$' /proc/kallsyms").splitlines()[1].split()[0]
    guest.load("suse")
    assert guest.sh("/lab/call uname; cat /proc/version /proc/loadavg").splitlines() == [
        "Linux/lp-0000000",
        f"suse: 1 {second}",
        "7.00 7.00 7.00 1/1 1",
    ]
    assert guest.features() == "suse: 1\n"
    guest.unload("suse")
    assert guest.sh("/lab/call uname; cat /proc/version") == before
    guest.sh("rmmod null_blk")


def test_directory_as_suse_publishes_it_today(guest: Guest) -> None:
    before = guest.sh("/lab/call uname; cat /proc/version; /lab/call getpgid64 1")
    second = guest.sh("grep ' c_next$' /proc/kallsyms").splitlines()[1].split()[0]
    guest.load("suse15")
    assert guest.sh("/lab/call uname; cat /proc/version /proc/loadavg").splitlines() == [
        "Linux/lp-0000000",
        f"suse15: 1 {second}",
        "15.00 15.00 15.00 1/1 1",
    ]
    assert guest.sh("/lab/call getpgid64 7; /lab/call getpgid32 8") == "1507\n1508\n"
    guest.sh("mkdir -p /tmp/t && mount -t tracefs tracefs /tmp/t")
    event = "/tmp/t/events/sched/sched_process_hang/enable"
    traced = guest.sh(f"echo 1 >{event}; cat /proc/version; echo 0 >{event}; cat /tmp/t/trace")
    assert traced.count("sched_process_hang: comm=cat ") == 1
    assert guest.features() == "suse15: 1\n"
    guest.unload("suse15")
    assert guest.sh("/lab/call uname; cat /proc/version; /lab/call getpgid64 1") == before
    guest.sh("rmmod null_blk")


# --- the target's own samples


def test_sample_of_a_function(guest: Guest) -> None:
    guest.load("livepatch_sample")
    assert guest.sh("cat /proc/cmdline") == "this has been live patched\n"
    guest.unload("livepatch_sample")
    assert "live patched" not in guest.sh("cat /proc/cmdline")


def test_samples_of_shadow_variables(guest: Guest) -> None:
    guest.sh("insmod /lab/livepatch_shadow_mod.ko")
    guest.load("livepatch_shadow_fix1")
    guest.load("livepatch_shadow_fix2")
    said = guest.sh(
        "for try in $(seq 300); do dmesg | grep -q livepatch_fix1_dummy_alloc && break; "
        "sleep 0.2; done; dmesg | grep livepatch_fix1_dummy_alloc"
    )
    assert "livepatch_fix1_dummy_alloc" in said
    guest.unload("livepatch_shadow_fix2")
    guest.unload("livepatch_shadow_fix1")
    guest.sh("rmmod livepatch_shadow_mod")


def test_samples_of_callbacks(guest: Guest) -> None:
    guest.sh("insmod /lab/livepatch_callbacks_mod.ko")
    guest.load("livepatch_callbacks_demo")
    guest.unload("livepatch_callbacks_demo")
    said = [line.split(": ", 1)[1] for line in guest.log("livepatch_callbacks_demo: p")]
    assert said == [
        f"{kind}_callback: {where}"
        for kind in ("pre_patch", "post_patch", "pre_unpatch", "post_unpatch")
        for where in ("vmlinux", "livepatch_callbacks_mod -> [MODULE_STATE_LIVE] Normal state")
    ]
    guest.sh(
        "insmod /lab/livepatch_callbacks_busymod.ko && rmmod livepatch_callbacks_busymod livepatch_callbacks_mod"
    )
