# SPDX-License-Identifier: GPL-2.0-or-later
"""BPF programs at the functions of live patches, in guests of both series."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from suture.lab.machine import Machine
from suture.workspace.prepare import Workspace
from tests.lab import modules, programs, runtime
from tests.lab.host import Host

ATTACH = Path(__file__).parent / "sources" / "attach_bpf.c"
FUNCTION = "cmdline_proc_show"


@pytest.fixture(scope="module")
def host(each_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    made = tmp_path_factory.mktemp("bpf")
    built = modules.build(each_workspace, tmp_path_factory.mktemp("modules"))
    files = runtime.files() | {f"/lp/{name}.ko": built[name] for name in ("lp_one",)}
    files["/bin/attach_bpf"] = programs.static(ATTACH.read_text(), made)
    with Machine.boot(each_workspace.target, files=files, memory=1024) as machine:
        yield Host(machine)


def attach(host: Host, *kinds: str) -> None:
    words = " ".join(f"{kind} {FUNCTION}" for kind in kinds)
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
