# SPDX-License-Identifier: GPL-2.0-or-later
"""Static keys and tracepoints in patched code: of the core kernel, and of a module that comes
before or after."""

from __future__ import annotations

from pathlib import Path

import pytest

from suture.builder import build
from suture.builder.artifact import Artifact
from suture.kernel.release import Target
from suture.lab.machine import Machine
from suture.workspace.prepare import Workspace
from tests.lab.guest import Guest
from tests.patches import Edit, diff

pytestmark = pytest.mark.make_test_takes("6.1")

TRACING = "/sys/kernel/tracing"

VMLINUX = (
    # vm_numa_stat_key belongs to mm/vmstat.c, is not exported, and is flipped by sysctl
    # vm.numa_stat.
    Edit(
        "fs/proc/meminfo.c",
        "\tsi_meminfo(&i);\n",
        '\tseq_puts(m, static_branch_likely(&vm_numa_stat_key) ? "Counted: yes\\n" : "Counted: no\\n");\n'
        "\tsi_meminfo(&i);\n",
    ),
    Edit(
        "fs/proc/base.c",
        "\ttrace_oom_score_adj_update(task);\n",
        '\tpr_info("patched: %d\\n", oom_adj);\n\ttrace_oom_score_adj_update(task);\n',
    ),
)

MODULE = Edit(
    "net/mac80211/driver-ops.c",
    "\ttrace_drv_start(local);\n",
    '\tpr_info("patched: starting\\n");\n\ttrace_drv_start(local);\n',
)


def made(
    name: str, target: Target, workspace: Workspace, directory: Path, *edits: Edit
) -> Artifact:
    patch = directory / f"{name}.patch"
    patch.write_text(diff(workspace.tree, *edits))
    return build([patch], target, output=directory / f"{name}.ko", name=name, replace=False)


def traced(guest: Guest, command: str) -> list[str]:
    """The functions' part of what the tracer notes while a command runs."""
    guest.sh(f"echo >{TRACING}/trace; {command}")
    return [
        line for line in guest.sh(f"cat {TRACING}/trace").splitlines() if not line.startswith("#")
    ]


@pytest.fixture(scope="module")
def live_patches(
    each_target: Target, each_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> list[Artifact]:
    directory = tmp_path_factory.mktemp("keys")
    return [
        made("keys_vmlinux", each_target, each_workspace, directory, *VMLINUX),
        made("keys_module", each_target, each_workspace, directory, MODULE),
    ]


def start(guest: Guest) -> list[str]:
    return traced(guest, "ip link set wlan0 up; ip link set wlan0 down")


def test_keys_and_tracepoints_take_effect_in_patched_code(
    each_target: Target, live_patches: list[Artifact]
) -> None:
    vmlinux, module = live_patches
    with Machine.boot(each_target, modules=["mac80211_hwsim"]) as machine:
        guest = Guest(machine)
        guest.load(vmlinux)
        for value, text in ((1, "yes"), (0, "no"), (1, "yes")):
            guest.sh(f"echo {value} >/proc/sys/vm/numa_stat")
            assert f"Counted: {text}\n" in guest.sh("cat /proc/meminfo")
        adjust = "echo 5 >/proc/self/oom_score_adj"
        assert traced(guest, adjust) == []
        guest.sh(f"echo 1 >{TRACING}/events/oom/oom_score_adj_update/enable")
        assert any("oom_score_adj_update:" in line for line in traced(guest, adjust))
        guest.sh(f"echo 0 >{TRACING}/events/oom/oom_score_adj_update/enable")
        assert "patched: 5" in guest.sh("dmesg")
        guest.unload(vmlinux)

        guest.load(module)  # before the module
        guest.sh("modprobe mac80211_hwsim")
        _follows_its_tracepoint(guest)
        guest.unload(module)
        guest.load(module)  # after it
        _follows_its_tracepoint(guest)
        guest.unload(module)
        assert machine.complaints() == ()


def _follows_its_tracepoint(guest: Guest) -> None:
    """Nothing is traced while the event is off; what is traced comes from patched code, which says
    so in the log."""
    enable = f"{TRACING}/events/mac80211/drv_start/enable"
    guest.sh("dmesg -c")
    assert start(guest) == []
    guest.sh(f"echo 1 >{enable}")
    assert any("drv_start:" in line for line in start(guest))
    guest.sh(f"echo 0 >{enable}")
    assert start(guest) == []
    assert guest.sh("dmesg").count("patched: starting") == 3
