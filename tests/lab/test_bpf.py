# SPDX-License-Identifier: GPL-2.0-or-later
"""BPF programs at the functions of live patches, in guests of both series."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from suture.lab.machine import Machine
from suture.workspace.prepare import Workspace
from tests.lab import modules, programs, runtime
from tests.lab.host import Done, Host

ATTACH = Path(__file__).parent / "sources" / "attach_bpf.c"
FUNCTION = "cmdline_proc_show"

SECURITY = {"fmod_ret": "security_sb_statfs", "lsm": "bpf_lsm_sb_statfs"}
"""Programs that decide over a system call, by the functions that they can be attached to: those of
the kernel's security hooks, and those that the hooks of BPF programs call
(kernel/bpf/verifier.c: check_attach_modify_return(), kernel/bpf/bpf_lsm.c).  Other functions would
need CONFIG_FUNCTION_ERROR_INJECTION, which Debian's kernels do not have."""

REFUSES = """#include <linux/dcache.h>
static int new_code(struct dentry *dentry) { return -EBUSY; }
"""
LIVE_PATCHES = modules.SOURCES | {
    f"lp_{kind}": modules.live_patch(REFUSES, {function: "new_code"})
    for kind, function in SECURITY.items()
}


@pytest.fixture(scope="module")
def host(each_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    made = tmp_path_factory.mktemp("bpf")
    names = ("lp_one", *(f"lp_{kind}" for kind in SECURITY))
    sources = {name: LIVE_PATCHES[name] for name in names}
    built = modules.build(each_workspace, tmp_path_factory.mktemp("modules"), sources, ())
    files = runtime.files() | {f"/lp/{name}.ko": built[name] for name in names}
    files["/bin/attach_bpf"] = programs.static(ATTACH.read_text(), made)
    with Machine.boot(each_workspace.target, files=files, memory=1024) as machine:
        yield Host(machine)


def attach(host: Host, *kinds: str) -> None:
    words = " ".join(f"{kind} {SECURITY.get(kind, FUNCTION)}" for kind in kinds)
    host.sh(f"(attach_bpf {words} </dev/null >/tmp/attached 2>&1 & echo $! >/tmp/pid)")
    host.sh(
        f"while [ $(wc -l </tmp/attached) -lt {len(kinds)} ]; do"
        " kill -0 $(cat /tmp/pid) || exit 1; done"
    )


def detach(host: Host) -> None:
    host.sh(
        "kill $(cat /tmp/pid); while grep -q direct /sys/kernel/tracing/enabled_functions; do :; done"
    )


@pytest.mark.parametrize("kind", ["fentry", "fexit"])
def test_a_program_at_a_function_is_named_before_loading_and_after(host: Host, kind: str) -> None:
    attach(host, kind)
    refused, loaded, status = host.suture(
        "load /lp/lp_one.ko", "load /lp/lp_one.ko --ignore-probes", "status --json --check"
    )
    assert refused.is_refused(
        "function-traced", f"BPF programs are attached to {FUNCTION} (bpf_tramp"
    )
    assert (loaded.status, status.status) == (0, 0)
    (hindrance,) = status.document["hindrances"]
    assert (hindrance["function"], hindrance["is_in_force"]) == (FUNCTION, True)
    assert host.sh("cat /proc/cmdline") == "one\n"
    detach(host)
    status, gone = host.suture("status --json --check", "unload lp_one")
    assert (status.document["hindrances"], gone.status) == ([], 0)


@pytest.mark.parametrize("kind", SECURITY)
def test_a_program_that_decides_over_a_system_call_is_named_before_loading_and_after(
    host: Host, kind: str
) -> None:
    function, name = SECURITY[kind], f"lp_{kind}"
    attach(host, kind)
    refused, loaded, status = host.suture(
        f"load /lp/{name}.ko", f"load /lp/{name}.ko --ignore-probes", "status --json --check"
    )
    assert refused.is_refused(
        "function-traced", f"BPF programs are attached to {function} (bpf_tramp"
    )
    assert loaded.status == 0
    assert_named(host, status, function)
    detach(host)
    (alone,) = host.suture("status --json --check")
    assert (alone.status, alone.document["hindrances"]) == (0, [])
    assert is_new_code_run(host)
    attach(host, kind)
    (after,) = host.suture("status --json --check")
    assert_named(host, after, function)
    detach(host)
    (gone,) = host.suture(f"unload {name}")
    assert gone.status == 0
    assert not is_new_code_run(host)


def is_new_code_run(host: Host) -> bool:
    """Whether statfs() fails as the live patches of security hooks let it."""
    return host.sh("stat -f /tmp >/dev/null 2>&1; echo $?") != "0\n"


def assert_named(host: Host, status: Done, function: str) -> None:
    """Suture names the programs, and says of the live patch what is true."""
    (hindrance,) = status.document["hindrances"]
    assert (hindrance["function"], hindrance["is_in_force"]) == (function, is_new_code_run(host))
    assert hindrance["direct"].startswith("bpf_trampoline_")
    assert status.status == (0 if hindrance["is_in_force"] else 7)


def test_a_host_without_tracefs_says_that_it_cannot_look(host: Host) -> None:
    host.sh("umount /sys/kernel/tracing && umount -l /sys/kernel/debug")
    loaded, shown, checked = host.suture("load /lp/lp_one.ko", "status", "status --json --check")
    host.sh("mount -t debugfs nodev /sys/kernel/debug")
    (below_debugfs,) = host.suture("status --json")
    host.sh("mount -t tracefs nodev /sys/kernel/tracing")
    seen, gone = host.suture("status --json", "unload lp_one")
    for said in (loaded, shown):
        assert (
            "BPF programs at replaced functions cannot be seen: tracefs is not mounted" in said.out
        )
    assert (loaded.status, checked.status, gone.status) == (0, 0, 0)
    assert "mount -t tracefs" in checked.document["unseen"]
    assert (below_debugfs.document["unseen"], seen.document["unseen"]) == ("", "")


def test_two_programs_after_loading_are_seen_to_put_a_live_patch_out_of_force(host: Host) -> None:
    """Linux 6.1 runs the old code; later versions do not.  A guest of 6.1 is of no use after it."""
    (loaded,) = host.suture("load /lp/lp_one.ko")
    assert loaded.status == 0
    attach(host, "fentry", "fexit")
    is_in_force = host.sh("cat /proc/cmdline") == "one\n"
    checked, shown = host.suture("status --json --check", "status")
    assert checked.status == (0 if is_in_force else 7)
    (hindrance,) = checked.document["hindrances"]
    assert hindrance["is_in_force"] is is_in_force
    if not is_in_force:
        assert "the kernel runs the old code of functions below" in shown.out
        assert f"lp_one: the old {FUNCTION} runs" in shown.out
