# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading what the kernel shows, in the shapes of several versions; tests/lab/test_core.py reads
whole kernels."""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from suture.cli import load as load_command
from suture.cli.info import info
from suture.cli.status import document, for_people
from suture.core import (
    change,
    checks,
    host,
    kallsyms,
    lock,
    login,
    metrics,
    modules,
    running,
    tasks,
)
from suture.core.drift import Drift, DriftKind
from suture.core.livepatch import LivepatchCore
from suture.core.load import Loaded
from suture.core.patches import LoadedFunction, LoadedPatch
from suture.core.redirections import Hindrance
from suture.core.status import Loading, PatchStatus, Status, Verdict
from suture.core.unprotected import Unprotected
from suture.errors import Refusal
from suture.model import Fix
from tests.examples import shows

STAT = "{tid} ({name}) {state} 1 1 1 0 -1 {flags} 0 0 0 0 250 50 0 0 20 0 1 0 100 0 0"


def put(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


def patch(name: str, **attributes: str) -> dict[str, str]:
    directory = f"sys/kernel/livepatch/{name}"
    files = {
        f"{directory}/{key}": value
        for key, value in ({"enabled": "1", "transition": "0"} | attributes).items()
    }
    return files | {
        f"{directory}/vmlinux/patched": "1",
        f"{directory}/vmlinux/some_function.isra.0,2/x": "",
    }


def test_a_patch_is_read_with_what_the_kernel_has(tmp_path: Path) -> None:
    put(tmp_path, patch("old"))
    (found,) = LivepatchCore(tmp_path).patches()
    assert (found.enabled, found.transition, found.replace, found.stack_order) == (
        True,
        False,
        None,
        None,
    )
    (objects,) = found.objects
    assert (objects.name, objects.patched) == ("vmlinux", True)
    assert objects.functions == (LoadedFunction("some_function.isra.0", 2),)


def test_the_order_is_the_stacks_where_there_is_one_and_that_of_loading_elsewhere(
    tmp_path: Path,
) -> None:
    put(
        tmp_path,
        patch("a", stack_order="2", replace="0") | patch("b", stack_order="1", replace="1"),
    )
    assert [(found.name, found.replace) for found in LivepatchCore(tmp_path).patches()] == [
        ("b", True),
        ("a", False),
    ]
    other = put(tmp_path / "other", patch("a") | patch("b"))
    put(
        other, {"proc/modules": "a 16384 1 - Live 0x0 (OEK)\nb 16384 1 - Live 0x0 (OEK)"}
    )  # the last one first
    assert [found.name for found in LivepatchCore(other).patches()] == ["b", "a"]


def test_modules_of_live_patches_that_are_not_in_force_are_left_over(tmp_path: Path) -> None:
    lines = [
        "mine 16384 1 - Live 0xffffffffc0000000 (OEK)",
        "gone 16384 0 - Live 0xffffffffc0010000 (OEK)",
        "coming 16384 1 - Loading 0xffffffffc0020000 (OEK+)",
        "ext4 999424 1 - Live 0xffffffffc0030000",
        "odd 16384 0 ext4,mine, Live 0x0000000000000000 (O)",
    ]
    put(tmp_path, {"proc/modules": "\n".join(lines)} | patch("mine"))
    assert [module.name for module in modules.left_over(tmp_path)] == ["gone"]
    assert [(module.name, module.taints) for module in modules.loaded(tmp_path)][2:] == [
        *(("coming", "OEK"), ("ext4", ""), ("odd", "O")),
    ]
    assert modules.read("none", tmp_path) is None


def test_a_task_that_holds_a_transition_up_is_told_with_its_frame(tmp_path: Path) -> None:
    task = "proc/7/task/9"
    put(
        tmp_path,
        {
            f"{task}/patch_state": "0",
            f"{task}/stat": STAT.format(tid=9, name="a) (b", state="S", flags=0),
            f"{task}/stack": "[<0>] schedule+0x1/0x20\n[<0>] old_function.isra.0+0x11/0x30 [ext4]\n[<0>] other+0x1/0x2",
            "proc/8/task/8/patch_state": "1",
            "proc/10/task/10/patch_state": "0",  # its stat is gone: it has ended
        },
    )
    held = {("ext4", "old_function.isra.0"), ("vmlinux", "schedule_timeout")}
    (found,) = tasks.behind(LivepatchCore(tmp_path).task_states(), 1, held)
    assert (found.pid, found.tid, found.name, found.state, found.cpu_seconds) == (
        7,
        9,
        "a) (b",
        "S",
        3.0,
    )
    assert found.holding == ("old_function.isra.0+0x11/0x30 [ext4]",)
    assert found.line() == "a) (b (process 7, thread 9), sleeping: in old_function.isra.0()"
    assert tasks.count(LivepatchCore(tmp_path).task_states(), 1) == tasks.MovedTasks(1, 3)
    (found,) = tasks.behind(LivepatchCore(tmp_path).task_states(), 1, {("ext4", tasks.ANY)})
    assert found.holding == ("old_function.isra.0+0x11/0x30 [ext4]",)


@pytest.mark.parametrize(
    ("state", "words"),
    [("T", "switches when it is continued (SIGCONT)"), ("R", "switches at its next system call")],
)
def test_what_a_task_without_such_a_frame_waits_for_is_said(
    tmp_path: Path, state: str, words: str
) -> None:
    put(
        tmp_path,
        {
            "proc/7/task/7/patch_state": "0",
            "proc/7/task/7/stat": STAT.format(tid=7, name="x", state=state, flags=0),
        },
    )
    (found,) = tasks.behind(LivepatchCore(tmp_path).task_states(), 1, set())
    assert words in found.line()


def vanishing(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory goes when somebody has seen that it is there and is about to list it."""

    def at_last_moment(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any = ".") -> Any:
            if str(path) == str(directory) and directory.is_dir():
                shutil.rmtree(directory)
            return real(path)

        return call

    for name in ("listdir", "scandir"):
        monkeypatch.setattr(os, name, at_last_moment(getattr(os, name)))


def test_a_process_that_ends_while_tasks_are_looked_at_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, {f"proc/{pid}/task/{pid}/patch_state": "0" for pid in (7, 8)})
    vanishing(tmp_path / "proc/7/task", monkeypatch)
    assert tasks.count(LivepatchCore(tmp_path).task_states(), 1) == tasks.MovedTasks(0, 1)


def test_a_patch_that_loses_an_object_of_nops_while_it_is_read_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, patch("new") | {"sys/kernel/livepatch/new/ext4/replaced_before,1/x": ""})
    vanishing(tmp_path / "sys/kernel/livepatch/new/ext4", monkeypatch)
    found = LivepatchCore(tmp_path).read("new")
    assert found is not None
    assert [item.name for item in found.objects] == ["vmlinux"]


def test_a_patch_that_is_not_there_is_told() -> None:
    with pytest.raises(Refusal) as refused:
        info.main(["lp_one"], standalone_mode=False)
    shows(refused.value, "patch-not-loaded")


def test_symbols_are_counted_by_their_whole_name_and_object(tmp_path: Path) -> None:
    listing = "0 t one\n0 T one.cold\n0 d one\n0 t one\t[ext4]\n0 t not_one\n0 t two\t[bpf]"
    put(tmp_path, {"proc/kallsyms": listing})
    counted = kallsyms.count({("vmlinux", "one"), ("ext4", "one"), ("vmlinux", "two")}, tmp_path)
    assert counted is not None
    assert (counted["vmlinux", "one"], counted["ext4", "one"], counted["vmlinux", "two"]) == (
        2,
        1,
        0,
    )
    assert kallsyms.count({("vmlinux", "one")}, tmp_path / "none") is None


def test_positions_are_those_that_modules_say(tmp_path: Path) -> None:
    """The core shows 1 for the only symbol of a name, and for the first of several."""
    listing = "0 t one\n0 t two\n0 t two\n0 t one\t[livepatch_fix]"
    directory = "sys/kernel/livepatch/lp/vmlinux"
    files = {f"{directory}/{name}/x": "" for name in ("one,1", "two,1")}
    other = {"sys/kernel/livepatch/lp/ext4/three,1/x": ""}
    put(tmp_path, patch("lp") | files | other | {"proc/kallsyms": listing})
    found = LivepatchCore(tmp_path).read("lp")
    assert found is not None
    said = kallsyms.said_positions(found, tmp_path)
    shown = {
        (item.name, function.name): function.sympos
        for item in said.objects
        for function in item.functions
    }
    assert shown.pop(("vmlinux", "some_function.isra.0")) == 2
    assert shown == {("vmlinux", "one"): 0, ("vmlinux", "two"): 1, ("ext4", "three"): 1}
    (tmp_path / "proc/kallsyms").unlink()
    assert kallsyms.said_positions(found, tmp_path) == found


def test_what_every_change_needs_is_asked_in_turn(tmp_path: Path) -> None:
    def code() -> str:
        with pytest.raises(Refusal) as refused:
            checks.may_change("testing", tmp_path)
        return refused.value.code

    assert code() == "livepatch-unsupported"
    (tmp_path / "sys/kernel/livepatch").mkdir(parents=True)
    put(tmp_path, {"proc/self/status": "CapEff:\t0000000000000400"})
    assert code() == "not-privileged"
    put(
        tmp_path,
        {"proc/self/status": "CapEff:\t0000000000010000", "proc/sys/kernel/modules_disabled": "1"},
    )
    assert code() == "modules-disabled"
    put(tmp_path, {"proc/sys/kernel/modules_disabled": "0"})
    checks.may_change("testing", tmp_path)


def test_lockdown_is_the_mode_in_brackets(tmp_path: Path) -> None:
    assert running.lockdown(tmp_path) == "none"
    put(tmp_path, {"sys/kernel/security/lockdown": "none [integrity] confidentiality"})
    assert running.lockdown(tmp_path) == "integrity"


def test_a_newer_kernel_of_the_same_flavour_is_told(tmp_path: Path) -> None:
    put(tmp_path, {"proc/sys/kernel/osrelease": "6.1.0-9-amd64"})
    for release in (
        "6.1.0-8-amd64",
        "6.1.0-9-amd64",
        "6.1.0-10-amd64",
        "6.12.1-rt-amd64-dbg",
        "6.99.0-1-cloud-amd64",
    ):
        put(tmp_path, {f"boot/vmlinuz-{release}": ""})
    assert host.newer_kernel(tmp_path) == "6.1.0-10-amd64"
    put(tmp_path, {"proc/sys/kernel/osrelease": "6.1.0-10-amd64"})
    assert host.newer_kernel(tmp_path) is None


def test_taint_is_told_with_who_brought_it(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "proc/sys/kernel/tainted": str(1 << 12 | 1 << 9),
            "proc/modules": "mine 1 1 - Live 0x0 (OK)",
        },
    )
    assert [(taint.flag, taint.modules) for taint in host.taints(tmp_path)] == [
        ("W", ()),
        ("O", ("mine",)),
    ]
    assert host.taints(tmp_path)[1].about == "an out-of-tree module"
    put(tmp_path, {"proc/sys/kernel/tainted": str(1 << 40)})
    assert [taint.flag for taint in host.taints(tmp_path)] == ["40"]


def expected_taint(root: Path, modules: str, *bits: int) -> dict[str, bool]:
    value = sum(1 << bit for bit in bits)
    put(root, {"proc/sys/kernel/tainted": str(value), "proc/modules": modules})
    return {taint.flag: taint.is_expected for taint in host.taints(root)}


def test_what_every_live_patch_brings_is_no_alarm_and_other_taint_is(tmp_path: Path) -> None:
    mine, vendor = "mine 1 1 - Live 0x0 (OEK)", "vendor 1 1 - Live 0x0 (OE)"
    of_live_patch = {"O": True, "E": True, "K": True}
    assert expected_taint(tmp_path, mine, 12, 13, 15) == of_live_patch
    assert expected_taint(tmp_path, "", 12, 13, 15) == of_live_patch, "it has gone again"
    assert expected_taint(tmp_path, f"{mine}\n{vendor}", 9, 12, 13, 15) == {
        "W": False,
        "O": False,
        "E": False,
        "K": True,
    }
    assert expected_taint(tmp_path, "", 12) == {"O": False}
    found = replace(status(drift=()), taints=host.taints(tmp_path))
    assert "The kernel is tainted:\n  O  an out-of-tree module" in shown(found)
    expected_taint(tmp_path, mine, 12, 13, 15)
    text = shown(replace(found, taints=host.taints(tmp_path)))
    assert "tainted:" not in text
    assert "taint O, E, K comes from live patches" in text
    assert "suture_other_taint 1" in metrics.exposition(found)


def shown(found: Status) -> str:
    text = io.StringIO()
    Console(file=text, width=200).print(for_people(found))
    return text.getvalue()


def test_the_taint_flags_are_the_kernels() -> None:
    """``include/linux/panic.h``: TAINT_CPU_OUT_OF_SPEC is 2, TAINT_FORCED_RMMOD 3, TAINT_LIVEPATCH
    15."""
    assert "".join(flag for flag, _ in host.TAINT) == "PFSRMBUDAWCIOELKXTNJ"


def test_the_holder_of_the_lock_is_told_to_others_who_take_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert lock.holder(path) is None
    with lock.held("load fix", path=path):
        assert lock.holder(path) == os.getpid()
        with pytest.raises(Refusal) as refused, lock.held("load other", wait=0.2, path=path):
            pass
        shows(refused.value, "another-at-work")
        assert refused.value.where == f"process {os.getpid()}"
    assert lock.holder(path) is None
    assert path.stat().st_mode & 0o077 == 0, "whoever may open a file may lock it"


def test_a_signal_that_came_too_late_is_told_with_what_was_done() -> None:
    def load() -> None:
        with change.recorded(None, "load", "livepatch_fix", {}) as outcome:
            os.kill(os.getpid(), signal.SIGTERM)
            outcome.result = "loaded"

    before = signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # as suture.host.failures has it
    try:
        with pytest.raises(Refusal) as refused:
            load()
    finally:
        signal.signal(signal.SIGTERM, before)
    shows(refused.value, "change-interrupted")


def test_a_link_is_not_taken_for_the_lock(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "other")
    with pytest.raises(Refusal), lock.held("load fix", path=tmp_path / "lock"):
        pass
    assert not (tmp_path / "other").exists()


def status(
    *patches: PatchStatus,
    at_work: int | None = None,
    left_over: tuple[str, ...] = (),
    drift: tuple[Drift, ...] = (Drift("fix", DriftKind.NOT_LOADED),),
) -> Status:
    last = "2026-01-02T03:04:05.678+00:00"
    return Status("6.1.0-9-amd64", True, patches, at_work, left_over, (), (), drift, last, (), None)


def moving(seconds: float | None) -> PatchStatus:
    found = LoadedPatch('a"b', True, True, None, None, ())
    return PatchStatus(found, "", None, seconds, tasks.MovedTasks(3, 10), ())


def test_the_verdict_is_the_worst_that_applies() -> None:
    assert status(drift=()).verdict is Verdict.OK
    assert status().verdict is Verdict.DRIFT
    hindered = Hindrance("fix", "vmlinux", "f", "bpf_trampoline_1", is_in_force=True)
    assert replace(status(drift=()), hindrances=(hindered,)).verdict is Verdict.OK
    gone = replace(hindered, is_in_force=False)
    assert replace(status(), hindrances=(hindered, gone)).verdict is Verdict.INEFFECTIVE
    assert status(moving(5)).verdict is Verdict.IN_TRANSITION
    assert status(moving(500), at_work=1).verdict is Verdict.IN_TRANSITION
    assert status(moving(500)).verdict is Verdict.STALLED
    assert status(moving(None)).verdict is Verdict.STALLED
    assert status(left_over=("old",)).verdict is Verdict.LEFT_UNDONE
    alone = replace(status(), unprotected=(MISSING,))
    assert alone.verdict is Verdict.UNPROTECTED
    assert replace(alone, hindrances=(gone,)).verdict is Verdict.INEFFECTIVE
    assert replace(alone, left_over=("old",)).verdict is Verdict.LEFT_UNDONE
    assert replace(alone, supported=False).verdict is Verdict.UNSUPPORTED


MISSING = Unprotected("fix", ("6.1.0-8-amd64",), (Fix("mend it", cves=("CVE-2026-1",)),))


def test_a_kernel_that_lacks_live_patches_of_others_is_no_good_one() -> None:
    found = replace(status(drift=()), unprotected=(MISSING,))
    text = shown(found)
    assert "6.1.0-9-amd64: no live patch in force; live patches of other kernels are" in text
    assert "  fix (for 6.1.0-8-amd64): mend it (CVE-2026-1)" in text
    assert "'suture rebuild'" in text
    assert (int(found.verdict), document(found)["verdict"]) == (8, "unprotected")
    labels = 'patch="fix",releases="6.1.0-8-amd64",cves="CVE-2026-1"'
    assert f"suture_unprotected{{{labels}}} 1" in metrics.exposition(found)
    said = "Live patches: 6.1.0-9-amd64 is not protected by fix (for 6.1.0-8-amd64)"
    assert login.line(found).startswith(said)


def test_a_newer_kernel_is_told_with_what_a_reboot_into_it_would_leave_open() -> None:
    found = replace(status(drift=()), newer_kernel="6.1.0-10-amd64")
    told = "6.1.0-10-amd64 is installed: a reboot into it may make live patches unnecessary."
    assert told in shown(found)
    found = replace(found, newer_kernel_lacks=("fix", "mend"))
    assert "after a reboot into it, fix, mend will be missing ('suture rebuild" in shown(found)
    assert "unnecessary" not in shown(found)
    assert document(found)["newer_kernel_lacks"] == ("fix", "mend")
    assert found.verdict is Verdict.OK, "this kernel is as it should be"


def test_a_kernel_without_live_patching_has_a_verdict_of_its_own() -> None:
    found = replace(status(drift=()), supported=False)
    assert (int(found.verdict), document(found)["verdict"]) == (9, "unsupported")
    assert "has no live patching (CONFIG_LIVEPATCH)" in shown(found)
    assert login.line(found) == "", "no live patch was ever kept on this host"
    found = replace(found, unprotected=(MISSING,))
    assert "Boot a kernel with CONFIG_LIVEPATCH" in shown(found)
    assert "cannot have any, and fix (for 6.1.0-8-amd64) is missing" in login.line(found)


def test_a_login_says_nothing_where_all_is_well() -> None:
    assert login.line(status(drift=())) == ""
    assert "'suture status'" in login.line(status())


def test_a_live_patch_keeps_its_name_in_metrics_whatever_its_module_is_called() -> None:
    found = LoadedPatch("fix_2", True, False, None, None, ())
    again = PatchStatus(found, "", None, None, None, (), "fix", ("a() stores b",))
    lines = metrics.exposition(status(again)).splitlines()
    assert 'suture_livepatch_enabled{patch="fix"} 1' in lines
    assert "suture_staying_modules 0" in lines


def test_metrics_are_in_the_text_format() -> None:
    found = status(moving(5))
    (item,) = found.patches
    fix = Fix('mend "it"', cves=("CVE-2024-1086", "CVE-2024-1087"))
    loading = Loading("2026-01-02T03:04:05+00:00", "root", "/f.ko", "00", seconds=1.25)
    patches = (replace(item, fixes=(fix, fix), loading=loading),)
    found = replace(found, patches=patches, unprotected=(MISSING,), refusals={"kernel-refused": 2})
    lines = metrics.exposition(found).splitlines()
    assert "suture_verdict 3" in lines
    assert [line for line in lines if line.startswith("suture_livepatch_cve{")] == [
        'suture_livepatch_cve{patch="a\\"b",cve="CVE-2024-1086"} 0',
        'suture_livepatch_cve{patch="a\\"b",cve="CVE-2024-1087"} 0',
    ]
    assert any('title="mend \\"it\\"; mend' in line for line in lines)
    assert 'suture_livepatch_transition{patch="a\\"b"} 1' in lines
    assert 'suture_livepatch_tasks_behind{patch="a\\"b"} 7' in lines
    assert "suture_drift 1" in lines
    assert 'suture_livepatch_since_timestamp_seconds{patch="a\\"b"} 1767323045' in lines
    assert 'suture_livepatch_transition_seconds{patch="a\\"b"} 1.25' in lines
    assert 'suture_refusals{code="kernel-refused"} 2' in lines
    assert "suture_last_change_timestamp_seconds 1767323045" in lines
    values = [line for line in lines if not line.startswith("#")]
    assert {line.split("{")[0].split(" ")[0] for line in values} == {
        line.split(" ")[2] for line in lines if line.startswith("# TYPE")
    }


def test_metrics_count_functions_that_bpf_programs_use_too() -> None:
    hindered = Hindrance('a"b', "vmlinux", "f", "bpf_trampoline_1", is_in_force=True)
    gone = replace(hindered, direct="", is_in_force=False)
    found = replace(status(moving(5)), hindrances=(hindered, hindered, gone))
    lines = metrics.exposition(found).splitlines()
    assert 'suture_livepatch_functions_traced{patch="a\\"b"} 2' in lines
    assert 'suture_livepatch_functions_ineffective{patch="a\\"b"} 1' in lines
    assert "suture_hindrances_visible 1" in lines


def test_what_cannot_be_seen_is_said_and_not_counted_and_alarms_nobody() -> None:
    found = replace(status(drift=()), unseen="tracefs is not mounted")
    assert found.verdict is Verdict.OK
    shown = io.StringIO()
    Console(file=shown, width=200).print(for_people(found))
    assert "cannot be seen: tracefs is not mounted." in shown.getvalue()
    assert document(found)["unseen"] == "tracefs is not mounted"
    lines = metrics.exposition(replace(status(moving(5)), unseen=found.unseen)).splitlines()
    assert "suture_hindrances_visible 0" in lines
    assert not [line for line in lines if line.startswith("suture_livepatch_functions_")]


def test_load_says_that_it_could_not_look_for_bpf_programs() -> None:
    done = Loaded("fix", "", "", "", 1.0, (), (), (), True, "fix")
    assert "BPF" not in load_command.for_people(done)
    done = replace(done, unseen="tracefs is not mounted")
    assert "cannot be seen: tracefs is not mounted." in load_command.for_people(done)


def test_locks_of_others_are_not_ours(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with open(tmp_path / "other", "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert lock.holder(tmp_path / "mine") is None
