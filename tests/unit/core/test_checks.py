# SPDX-License-Identifier: GPL-2.0-or-later
"""Each thing that stands in the way of loading, in what a kernel shows; tests/lab/test_core.py has
whole kernels."""

from __future__ import annotations

from pathlib import Path

import pytest

from suture.core import checks
from suture.errors import Refusal
from suture.model import LivePatch, PatchedFunction, PatchedObject
from suture.module.inspect import Inspection
from tests.examples import shows
from tests.unit.core.test_reading import patch, put

RELEASE = "6.1.0-50-amd64"
BUILD_ID = "ab" * 20
NOTE = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0" + bytes.fromhex(BUILD_ID)
"""An ELF note of type 3, as the kernel shows it of a module."""

FINE = {
    "proc/self/status": "CapEff:\t0000000000010000",
    "proc/sys/kernel/osrelease": RELEASE,
    "proc/sys/kernel/modules_disabled": "0",
    "proc/sys/kernel/ftrace_enabled": "1",
    "proc/modules": "ext4 999424 1 - Live 0x0",
    "proc/kallsyms": "0 t cmdline_proc_show\n0 t twice\n0 t twice\n0 t other",
    "proc/meminfo": "MemAvailable:  1000 kB",
    "sys/kernel/livepatch/.keep": "",
}
"""A kernel in which nothing stands in the way."""

IN_TRANSITION = patch("livepatch_first", transition="1")
TAKEN = {"proc/modules": "livepatch_fix 16384 1 - Live 0x0 (OEK)"}


def module(*functions: tuple[str, int], release: str = RELEASE, depends: str = "") -> checks.Module:
    replaced = tuple(PatchedFunction(name, sympos, f"new_{name}") for name, sympos in functions)
    info = (("vermagic", f"{release} SMP preempt mod_unload modversions "), ("depends", depends))
    made = LivePatch("livepatch_fix", (PatchedObject("vmlinux", replaced),), replace=False)
    return checks.Module("livepatch_fix.ko", b"x" * 1024, Inspection(made, (), (), info), BUILD_ID)


FIX = module(("cmdline_proc_show", 0))

CASES: dict[str, tuple[checks.Module, dict[str, str]]] = {
    "livepatch-unsupported": (FIX, {}),
    "not-privileged": (FIX, {"proc/self/status": "CapEff:\t0000000000000400"}),
    "modules-disabled": (FIX, {"proc/sys/kernel/modules_disabled": "1"}),
    "wrong-release": (module(("cmdline_proc_show", 0), release="6.1.0-49-amd64"), {}),
    "signature-required": (
        FIX,
        {
            "sys/kernel/security/lockdown": "none [integrity] confidentiality",
            "sys/firmware/efi/fw_platform_size": "64",
        },
    ),
    "ftrace-disabled": (FIX, {"proc/sys/kernel/ftrace_enabled": "0"}),
    "already-loaded": (FIX, patch("livepatch_fix") | TAKEN),
    "module-name-taken": (FIX, TAKEN),
    "transition-under-way": (FIX, IN_TRANSITION),
    "dependency-not-loaded": (module(("cmdline_proc_show", 0), depends="xfs"), {}),
    "kernel-lacks-symbol": (module(("twice", 0)), {}),
    "function-redirected": (
        FIX,
        {
            "sys/kernel/tracing/enabled_functions": "cmdline_proc_show (1) R I   \ttramp: 0xffffffffc0201000 "
            "(watcher_handler+0x0/0x10 [watcher]) ->ftrace_ops_assist_func+0x0/0xf0"
        },
    ),
    "function-probed": (
        FIX,
        {
            "sys/kernel/debug/kprobes/list": "ffffffff81470a04  k  cmdline_proc_show+0x4    [FTRACE]",
            "sys/kernel/tracing/kprobe_events": "p:mine/watch cmdline_proc_show+4",
        },
    ),
    "memory-short": (FIX, {"proc/meminfo": "MemAvailable:  3 kB"}),
}


def kernel(root: Path, differs: dict[str, str]) -> Path:
    notes = root / "sys/module/livepatch_fix/notes"
    notes.mkdir(parents=True)
    (notes / ".note.gnu.build-id").write_bytes(NOTE)
    return put(root, FINE | differs)


def test_a_kernel_in_which_nothing_stands_in_the_way_takes_it(tmp_path: Path) -> None:
    fine = module(("cmdline_proc_show", 0), ("twice", 2), depends="ext4")
    assert checks.may_load(fine, root=kernel(tmp_path, {})) is None  # no signature is asked for


@pytest.mark.parametrize("code", CASES)
def test_what_stands_in_the_way_is_named(tmp_path: Path, code: str) -> None:
    loaded, differs = CASES[code]
    root = kernel(tmp_path, differs)
    if code == "livepatch-unsupported":
        (root / "sys/kernel/livepatch/.keep").unlink()
        (root / "sys/kernel/livepatch").rmdir()
    with pytest.raises(Refusal) as refusal:
        checks.may_load(loaded, root=root)
    shows(refusal.value, code)


def test_others_at_other_functions_and_probes_that_may_go_blind_are_let_be(tmp_path: Path) -> None:
    root = kernel(
        tmp_path,
        {
            "sys/kernel/tracing/enabled_functions": "cmdline_proc_show (1)      \nother (1) R I  \ttramp: 0x0 (x)",
            "sys/kernel/debug/kprobes/list": "0  k  cmdline_proc_show+0x4    [FTRACE]",
        },
    )
    checks.may_load(FIX, ignore_probes=True, root=root)
    with pytest.raises(Refusal):
        checks.may_load(FIX, root=root)


@pytest.mark.parametrize(("sympos", "words"), [(0, "does not say which"), (3, "wants number 3")])
def test_a_position_has_to_be_there_and_to_be_said(tmp_path: Path, sympos: int, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        checks.may_load(module(("twice", sympos)), root=kernel(tmp_path, {}))


def test_a_live_patch_of_that_name_out_of_force_is_told_from_a_module_that_is_none(
    tmp_path: Path,
) -> None:
    with pytest.raises(Refusal, match="out of force but still in memory"):
        checks.may_load(FIX, root=kernel(tmp_path / "one", TAKEN))
    other = {"proc/modules": "livepatch_fix 16384 1 - Live 0x0 (O)"}
    with pytest.raises(Refusal, match="but not as a live patch"):
        checks.may_load(FIX, root=kernel(tmp_path / "other", other))
