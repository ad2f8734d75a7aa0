# SPDX-License-Identifier: GPL-2.0-or-later
"""What ftrace does with the functions of live patches, from lists of Linux 6.1 and 6.12."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

from suture.core.kallsyms import other_names
from suture.core.patches import LoadedFunction, LoadedObject, LoadedPatch
from suture.core.redirections import (
    ENABLED_FUNCTIONS,
    FtraceUse,
    FtraceView,
    look,
    unreadable,
    uses,
)
from tests.unit.core.test_reading import put

SHARED = """cmdline_proc_show (2) R I D ->arch_ftrace_ops_list_func+0x0/0x1d0
\tdirect-->bpf_trampoline_6442525122+0x0/0x1000
"""
NEWER = """cmdline_proc_show (2) R I D   M  ->arch_ftrace_ops_list_func+0x0/0x1d0
\tdirect-->bpf_trampoline_6442501137+0x0/0xe1
nf_hook [nf_conntrack] (1)   I     M \ttramp: 0xffffffffc0201000 (klp_ftrace_handler+0x0/0x220) ->x
"""
TRACED = "cmdline_proc_show (1)     D \n"
COUNTED = "cmdline_proc_show (1)    \n"
REDIRECTED = (
    "cmdline_proc_show (1) R I   \ttramp: 0xffffffffc0201000 (klp_ftrace_handler+0x0/0x1f0) ->x\n"
)

KALLSYMS = """ffffffff81470a00 t cmdline_proc_show
ffffffff81470a00 t the_other_name
ffffffff81470b00 t beside
ffffffffc0200010 t nf_hook\t[nf_conntrack]
"""


def patch(*, enabled: bool = True, transition: bool = False, patched: bool = True) -> LoadedPatch:
    functions = (LoadedFunction("cmdline_proc_show", 1),)
    objects = (LoadedObject("vmlinux", patched, functions),)
    return LoadedPatch("livepatch_fix", enabled, transition, None, None, objects)


def kernel(root: Path, listed: str, kallsyms: str = KALLSYMS) -> Path:
    return put(root, {ENABLED_FUNCTIONS: listed, "proc/kallsyms": kallsyms})


def test_flags_and_trampolines_are_read(tmp_path: Path) -> None:
    assert uses(kernel(tmp_path, SHARED)) == {
        ("vmlinux", "cmdline_proc_show"): FtraceUse(True, "bpf_trampoline_6442525122", "")
    }
    newer = uses(kernel(tmp_path, NEWER))
    assert newer is not None
    assert newer["vmlinux", "cmdline_proc_show"].direct == "bpf_trampoline_6442501137"
    assert newer["nf_conntrack", "nf_hook"].is_redirected
    assert newer["nf_conntrack", "nf_hook"].direct == ""


@pytest.mark.parametrize(
    ("listed", "found"),
    {
        "": ["the old cmdline_proc_show runs, for ftrace does not redirect it"],
        COUNTED: ["the old cmdline_proc_show runs, for ftrace does not redirect it"],
        SHARED: ["BPF programs are attached to cmdline_proc_show (bpf_trampoline_6442525122)"],
        TRACED: [
            "the old cmdline_proc_show runs, for ftrace does not redirect it; BPF programs are "
            "attached to cmdline_proc_show (a trampoline)"
        ],
        REDIRECTED: [],
        REDIRECTED.replace("cmdline_proc_show", "the_other_name"): [],
    }.items(),
)
def test_what_hinders_a_live_patch_in_force_is_named(
    tmp_path: Path, listed: str, found: list[str]
) -> None:
    root = kernel(tmp_path, listed)
    assert [one.found for one in look([patch()], root).hindrances] == found
    assert not look([patch()], root).unseen


def test_a_live_patch_that_is_not_in_force_cannot_be_hindered(tmp_path: Path) -> None:
    root = kernel(tmp_path, "")
    others = [patch(enabled=False), patch(transition=True), patch(patched=False)]
    assert look(others, root) == FtraceView()
    assert look(others, root / "nothing") == FtraceView()


def test_a_host_without_tracefs_is_told_to_mount_it(tmp_path: Path) -> None:
    assert uses(tmp_path) is None
    found = look([patch()], tmp_path)
    assert found.hindrances == ()
    assert "mount -t tracefs nodev /sys/kernel/tracing" in found.unseen


def test_tracefs_below_debugfs_will_do(tmp_path: Path) -> None:
    root = put(tmp_path, {"sys/kernel/debug/tracing/enabled_functions": SHARED})
    assert not unreadable(root)
    (found,) = look([patch()], root).hindrances
    assert found.direct == "bpf_trampoline_6442525122"


@pytest.mark.parametrize(
    ("lockdown", "reason"),
    [
        ("none integrity [confidentiality]", "the kernel is locked down"),
        ("none [integrity] confidentiality", "only root can read"),
    ],
)
def test_a_list_that_may_not_be_read_is_said_to_be_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lockdown: str, reason: str
) -> None:
    root = put(tmp_path, {"sys/kernel/security/lockdown": lockdown})
    denied = PermissionError(errno.EPERM, "Operation not permitted")
    monkeypatch.setattr("suture.core.redirections._error_of", lambda _: denied)
    assert unreadable(root).startswith(reason)
    assert look([patch()], root).unseen == unreadable(root)


def test_hidden_addresses_are_reported_where_they_are_needed(tmp_path: Path) -> None:
    hidden = re.sub("^f{8}.{8}", "0" * 16, KALLSYMS, flags=re.MULTILINE)
    found = look([patch()], kernel(tmp_path, "", hidden))
    assert found.hindrances == ()
    assert "kernel.kptr_restrict" in found.unseen
    assert look([patch()], kernel(tmp_path, REDIRECTED, hidden)) == FtraceView()


def test_the_names_of_one_function_are_known(tmp_path: Path) -> None:
    root = kernel(tmp_path, "")
    assert other_names("vmlinux", "the_other_name", root) == {"cmdline_proc_show", "the_other_name"}
    assert other_names("nf_conntrack", "nf_hook", root) == {"nf_hook"}
    assert other_names("vmlinux", "nf_hook", root) == frozenset()
