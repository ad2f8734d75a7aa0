# SPDX-License-Identifier: GPL-2.0-or-later
"""Each thing that stands in the way of loading, in what a kernel shows; tests/lab/test_core.py has
whole kernels."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from suture.core import checks, modules
from suture.errors import Refusal
from suture.model import LivePatch, PatchedFunction, PatchedObject
from suture.module.inspect import Inspection
from tests.examples import shows
from tests.unit.core.test_reading import patch, put
from tests.unit.module.test_staying import MODULE
from tests.unit.toolchain import compile_c

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
    inspection = Inspection(made, (), (), info)
    return checks.Module("livepatch_fix.ko", b"x" * 1024, inspection, BUILD_ID, made.name)


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
    "function-traced": (
        FIX,
        {
            "sys/kernel/tracing/enabled_functions": "cmdline_proc_show (1)     D \ttramp: 0xffffffffc0237000 "
            "(0x0) ->call_direct_funcs+0x0/0x20\n\tdirect-->bpf_trampoline_6442525122+0x0/0x1000"
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


def stays_note(name: str = "livepatch_fix") -> bytes:
    """A note as the kernel shows it of a module that stays in memory."""
    text = f"{name}\0show() passes later() to call_rcu()\0".encode()
    head = struct.pack("III", 7, len(text), 1)
    return head + b"Suture\0\0" + text.ljust(len(text) + -len(text) % 4, b"\0")


def staying(root: Path, *names: str, differs: dict[str, str] | None = None) -> Path:
    """A kernel with modules that are out of force and stay in memory."""
    for name in names:
        notes = root / "sys/module" / name / "notes"
        notes.mkdir(parents=True)
        (notes / ".note.livepatch").write_bytes(stays_note())
    lines = "\n".join(f"{name} 16384 1 - Live 0x0 (OEK)" for name in names)
    return put(root, FINE | {"proc/modules": lines} | (differs or {}))


def test_a_live_patch_that_stays_is_loaded_under_another_name(tmp_path: Path) -> None:
    root = staying(tmp_path, "livepatch_fix", "livepatch_fix_2")
    assert checks.may_load(FIX, root=root) is None
    assert modules.left_over(root) == ()
    assert [module.name for module in modules.staying(root)] == ["livepatch_fix", "livepatch_fix_2"]
    given = checks.read(compile_c(MODULE), "fix.ko")
    renamed = checks.under_free_name(given, root)
    assert (renamed.name, renamed.live_patch) == ("livepatch_fix_3", "livepatch_fix")
    assert checks.under_free_name(given, put(tmp_path / "fine", FINE)) is given


def test_one_in_force_under_another_name_is_the_same_live_patch(tmp_path: Path) -> None:
    root = staying(tmp_path, "livepatch_fix", "livepatch_fix_2", differs=patch("livepatch_fix_2"))
    assert modules.loaded_as("livepatch_fix", root) == "livepatch_fix_2"
    assert modules.live_patch_name("livepatch_fix_2", root) == "livepatch_fix"
    with pytest.raises(Refusal, match="a live patch of this name is in force"):
        checks.may_load(FIX, root=root)


def test_a_new_build_that_does_not_stay_is_known_by_its_number(tmp_path: Path) -> None:
    root = staying(tmp_path, "livepatch_fix", differs=patch("livepatch_fix_2"))
    lines = "livepatch_fix_2 1 1 - Live 0x0 (OEK)\nlivepatch_fix 1 1 - Live 0x0 (OEK)"
    put(root, {"proc/modules": lines})
    assert modules.live_patch_name("livepatch_fix_2", root) == "livepatch_fix"
    assert modules.live_patch_name("livepatch_fix_x", root) == "livepatch_fix_x"


def test_where_signatures_are_required_no_name_is_changed(tmp_path: Path) -> None:
    enforced = {"sys/kernel/security/lockdown": "none [integrity] confidentiality"}
    root = staying(tmp_path, "livepatch_fix", differs=enforced)
    with pytest.raises(Refusal) as refusal:
        checks.under_free_name(FIX, root)
    assert refusal.value.code == "module-name-taken"
    assert "would cost it its signature" in refusal.value.found
    assert "--name livepatch_fix_2 --sign-key" in str(refusal.value)
