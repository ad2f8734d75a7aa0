# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel knows of patched code: unwind data, bug and exception tables, static branches, on
both series."""

from __future__ import annotations

import re
import subprocess
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

pytestmark = pytest.mark.make_test_takes("6.12")

BASE, MEMINFO, SCHED = "fs/proc/base.c", "fs/proc/meminfo.c", "kernel/sched/core.c"

HELPERS = Edit(
    BASE,
    "static ssize_t comm_write(struct file *file, const char __user *buf,",
    # The kernel's own __cold says nothing where functions are to be aligned
    # (include/linux/compiler_types.h).
    "static noinline __attribute__((cold)) void suture_cold(void)\n{\n"
    '\tpr_info("suture: in the cold\\n");\n}\n\n'
    "static noinline int suture_wait(struct file *file)\n{\n\twhile (!fatal_signal_pending(current))\n"
    "\t\tschedule_timeout_killable(HZ / 10);\n\treturn file->f_flags ? -EINTR : 0;\n}\n\n"
    "static ssize_t comm_write(struct file *file, const char __user *buf,",
)
OPEN = Edit(
    BASE,
    "\treturn single_open(filp, comm_show, inode);",
    "\tif (filp->f_flags & O_APPEND)\n\t\treturn suture_wait(filp);\n\treturn single_open(filp, comm_show, inode);",
)
"""Opening it to append makes a new function sleep that is jumped to."""

COMM = Edit(
    BASE,
    "\tif (same_thread_group(current, p)) {\n\t\tset_task_comm(p, buffer);",
    '\tif (!strncmp(buffer, "sleep", 5))\n'
    "\t\twhile (!fatal_signal_pending(current))\n\t\t\tschedule_timeout_killable(HZ / 10);\n"
    '\tif (!strncmp(buffer, "cold", 4)) {\n\t\tsuture_cold();\n'
    "\t\twhile (!fatal_signal_pending(current))\n\t\t\tschedule_timeout_killable(HZ / 10);\n\t}\n"
    '\tif (!strncmp(buffer, "warn", 4)) {\n\t\tWARN_ON(count != 5);\n'
    '\t\tif (WARN_ONCE(count == 5, "suture: warned of %zu", count))\n\t\t\tcount = 5;\n\t}\n'
    '\tif (!strncmp(buffer, "fault", 5)) {\n\t\tint value;\n\n'
    "\t\t__get_kernel_nofault(&value, (int *)-4096L, int, fault);\n\t\tcount = value;\nfault:\n"
    '\t\tpr_info("suture: recovered\\n");\n\t\tcount = -EFAULT;\n\t}\n'
    "\tif (same_thread_group(current, p)) {\n\t\tset_task_comm(p, buffer);",
)
"""Writing a word to a task's ``comm`` makes the patched function sleep, warn, or touch memory that
is not there."""

SCHEDSTATS = Edit(
    SCHED,
    "int state = static_branch_likely(&sched_schedstats);",
    "int state = static_branch_likely(&sched_schedstats) ? 41 : 40;",
)
OTHER = Edit(MEMINFO, '"MemTotal:       "', '"SutTotal:       "')

Patch = Callable[..., Artifact]


@pytest.fixture(scope="module")
def patch(
    each_target: Target, each_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> Patch:
    directory = tmp_path_factory.mktemp("unwind")

    def made(name: str, *edits: Edit) -> Artifact:
        written = directory / f"{name}.patch"
        written.write_text(diff(each_workspace.tree, *edits))
        return build(
            [written], each_target, output=directory / f"{name}.ko", name=name, replace=False
        )

    return made


@pytest.fixture(scope="module")
def built(patch: Patch) -> Artifact:
    return patch("unwind", HELPERS, OPEN, COMM, SCHEDSTATS)


@pytest.fixture(scope="module")
def other(patch: Patch) -> Artifact:
    return patch("other", OTHER)


@pytest.fixture(scope="module")
def guest(each_target: Target, built: Artifact) -> Iterator[Guest]:
    with Machine.boot(each_target) as machine:
        guest = Guest(machine)
        guest.load(built)
        yield guest


def test_every_function_has_unwind_data_from_its_start_to_its_end(
    built: Artifact, each_workspace: Workspace
) -> None:
    """By the target's objtool and readelf."""
    objtool = each_workspace.tree / "tools/objtool/objtool"
    dumped = _output(objtool, "--dump=orc", built.path)
    states = re.findall(r"^(\S+)\+([0-9a-f]+): ?(.*)$", dumped, re.MULTILINE)
    sections = dict(
        re.findall(r"^\s*\[ *(\d+)\] (\S+)", _output("readelf", "-SW", built.path), re.MULTILINE)
    )
    pattern = r": ([0-9a-f]+) +(\S+) FUNC +\w+ +\w+ +(\d+) (\S+)$"
    functions = re.findall(pattern, _output("readelf", "-sW", built.path), re.MULTILINE)
    assert {"comm_write", "sysctl_schedstats"} <= {name for *_, name in functions}
    for value, size, index, name in functions:
        start = int(value, 16)
        # A place is given from the start of its section or function.
        bases = {sections[index]: 0, name: start}
        inside = {
            bases[base] + int(place, 16): state for base, place, state in states if base in bases
        }
        first = max((place for place in inside if place <= start), default=None)
        assert first is not None, name
        covering = [
            state for place, state in inside.items() if first <= place < start + int(size, 0)
        ]
        assert not any("sp:(und)" in state for state in covering), name


def test_a_task_asleep_in_patched_code_has_a_reliable_stack(
    guest: Guest, built: Artifact, other: Artifact
) -> None:
    """The core moves no task whose stack it cannot walk (kernel/livepatch/transition.c:
    klp_check_stack())."""
    guest.sh("sh -c 'echo sleep >/proc/$$/comm' >/dev/null 2>&1 & echo $! >/tmp/sleeper; sleep 1")
    stack = guest.sh("cat /proc/$(cat /tmp/sleeper)/stack")
    assert re.search(r"\bcomm_write\+0x\w+/0x\w+ \[unwind\]", stack), stack
    assert "vfs_write" in stack
    guest.load(other)  # waits until every task has moved, the sleeper too
    assert guest.meminfo() == "SutTotal"
    guest.unload(other)
    guest.sh("echo 0 >/sys/kernel/livepatch/unwind/enabled; sleep 2")
    assert guest.sh("cat /sys/kernel/livepatch/unwind/transition").strip() == "1"
    assert guest.sh("cat /proc/$(cat /tmp/sleeper)/patch_state").strip() == "1"
    guest.sh("echo 1 >/sys/kernel/livepatch/unwind/enabled; kill -9 $(cat /tmp/sleeper)")
    guest.settle(built)


@pytest.mark.parametrize(
    ("write", "function", "hidden"),
    [("echo cold >", "comm_write", "comm_write.cold"), ("echo >>", "comm_open", "suture_wait")],
)
def test_a_task_asleep_where_no_call_led_is_waited_for(
    guest: Guest, built: Artifact, write: str, function: str, hidden: str
) -> None:
    """In the ``.cold`` part, or in a new function that was jumped to: freed under it, the task
    would not get far."""
    guest.sh(f"sh -c '{write}/proc/$$/comm' >/dev/null 2>&1 & echo $! >/tmp/sleeper; sleep 1")
    stack = guest.sh("cat /proc/$(cat /tmp/sleeper)/stack")
    ((place, end),) = re.findall(rf"\b{function}\+(0x\w+)/(0x\w+) \[unwind\]", stack)
    start, _ = _symbol(built.path, function)
    first, length = _symbol(built.path, f".L{hidden}")
    assert first <= start + int(place, 16) < first + length
    assert first + length <= start + int(end, 16)
    guest.sh("echo 0 >/sys/kernel/livepatch/unwind/enabled; sleep 2")
    assert guest.sh("cat /sys/kernel/livepatch/unwind/transition").strip() == "1"
    assert guest.sh("cat /proc/$(cat /tmp/sleeper)/patch_state").strip() == "1"
    guest.sh("echo 1 >/sys/kernel/livepatch/unwind/enabled; kill -9 $(cat /tmp/sleeper)")
    guest.settle(built)


def test_a_static_branch_in_patched_code_follows_its_key(guest: Guest) -> None:
    switch = "/proc/sys/kernel/sched_schedstats"
    assert guest.sh(
        f"cat {switch}; echo 1 >{switch}; cat {switch}; echo 0 >{switch}; cat {switch}"
    ).split() == [
        "40",
        "41",
        "40",
    ]


def test_a_warning_says_where_it_is_and_how_it_came_there(guest: Guest) -> None:
    for _ in range(2):
        guest.machine.run("echo warn >/proc/self/comm")
    guest.machine.run("echo -n warn >/proc/self/comm")
    log = guest.sh("dmesg")
    reports = log.split("[ cut here ]")[1:]
    assert len(reports) == 2
    assert "suture: warned of 5" in reports[0]
    for report in reports:
        assert re.search(
            r"WARNING: .* at fs/proc/base\.c:\d+ comm_write\+0x\w+/0x\w+ \[unwind\]", report
        )
        trace = report.split("Call Trace:")[1].split("</TASK>")[0]
        # With "?" the kernel shows what else lies on the stack and is not on the way.
        way = re.findall(r"\]  (\w+)\+0x", trace)
        assert way == ["vfs_write", "ksys_write", "do_syscall_64", "entry_SYSCALL_64_after_hwframe"]


def test_a_fault_in_patched_code_recovers(guest: Guest) -> None:
    result = guest.machine.run("echo fault >/proc/self/comm")
    assert result.status != 0
    assert "Bad address" in result.text
    assert "suture: recovered" in guest.sh("dmesg")
    assert {complaint.what for complaint in guest.machine.complaints()} == {"WARNING"}


def _symbol(module: Path, function: str) -> tuple[int, int]:
    """A function's start in its section, and its size."""
    table = _output("readelf", "-sW", module)
    found = re.findall(
        r": ([0-9a-f]+) +(\d+|0x[0-9a-f]+) FUNC +\w+ +\w+ +\d+ (\S+)$", table, re.MULTILINE
    )
    return next((int(start, 16), int(size, 0)) for start, size, name in found if name == function)


def _output(*words: str | Path) -> str:
    return subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=True
    ).stdout
