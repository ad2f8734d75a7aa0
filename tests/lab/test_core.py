# SPDX-License-Identifier: GPL-2.0-or-later
"""Load, watch, replace and remove, by ``suture`` as it runs on a host, in a guest of both series.

What came of it is read from the kernel as well, without Suture.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from suture.lab.machine import Machine
from suture.model import Fix, RecordedFinding, Update, UpdateFix
from suture.module import sign
from suture.module.sign import Signer
from suture.workspace.prepare import Workspace
from tests.conftest import SERIES
from tests.examples import shows
from tests.lab import modules, runtime
from tests.lab.host import Host
from tests.lab.points import EVERY, injected
from tests.lab.test_api import examples

HERE = Path(__file__).parent

TERMINAL = "import pty, sys; pty.spawn(sys.argv[1:])"
"""A program that runs another one on a terminal."""

FORGED = (
    bytes(64)
    + bytes([0, 0, 2, 0, 0, 0, 0, 0])
    + (64).to_bytes(4, "big")
    + b"~Module signature appended~\n"
)
"""Sixty-four zeros for a PKCS #7 signature, and its ``struct module_signature``
(include/linux/module_signature.h)."""


ACCEPTED = RecordedFinding("refuse", "layout-changed", "item", "fs/a.c: grows", "none is there")

FIX = Fix("fs: mend it", "A. Author <a@example.org>", cves=("CVE-2024-1086", "CVE-2024-1087"))

UPDATE = Update(
    "1-1",
    "2-1",
    (
        UpdateFix(("CVE-2024-0001",), ("vmlinux",)),
        UpdateFix(("CVE-2024-0002",), ("vmlinux", "btrfs"), "layout-changed"),
        UpdateFix(("CVE-2024-0003",), ("btrfs",), "left-out"),
    ),
)
"""btrfs is not loaded in the guests."""

FilesFor = Callable[[Workspace], dict[str, bytes]]


@pytest.fixture(scope="session")
def files_for(tmp_path_factory: pytest.TempPathFactory) -> FilesFor:
    """What a guest of a workspace's kernel is given."""
    common = runtime.files() | runtime.program("inject", (HERE / "inject.py").read_text())
    common |= runtime.program("api", examples()[-1].replace("livepatch_version", "/lp/lp_one"))
    common |= runtime.program("terminal", TERMINAL) | runtime.module(HERE / "killing.py")
    made: dict[str, dict[str, bytes]] = {}

    def files(workspace: Workspace) -> dict[str, bytes]:
        if workspace.name not in made:
            built = modules.build(workspace, tmp_path_factory.mktemp("modules"))
            built["lp_one"] = modules.with_finding(built["lp_one"], ACCEPTED, FIX)
            built["of_update"] = modules.with_update(built["lp_two"], UPDATE)
            built["other/lp_one"] = modules.with_other_build_id(built["lp_one"])
            built["forged"] = built["lp_two"] + FORGED
            made[workspace.name] = {f"/lp/{name}.ko": module for name, module in built.items()}
        return common | made[workspace.name]

    return files


@pytest.fixture(scope="module")
def host(files_for: FilesFor, each_workspace: Workspace) -> Iterator[Host]:
    with Machine.boot(
        each_workspace.target, files=files_for(each_workspace), memory=1024
    ) as machine:
        host = Host(machine)
        yield host
        assert machine.complaints() == ()


def test_load_list_stack_replace_and_unload(host: Host) -> None:
    one, known, two, listed, would, lost, every, after, gone, again, end, log, about_one = (
        host.suture(
            "load /lp/lp_one.ko --json",
            "info lp_one",
            "load /lp/lp_two.ko --json",
            "list --json",
            "load /lp/lp_all.ko --dry-run --json",
            "load /lp/lp_all.ko",
            "load /lp/lp_all.ko --replace --json",
            "status --json",
            "unload lp_all",
            "load /lp/lp_one.ko",
            "unload lp-one --json",
            "log --json",
            "log --patch lp_two",
        )
    )
    assert listed.document["fixes"]["lp_one"][0]["cves"] == list(FIX.cves)
    assert log.document["records"][0]["details"]["fixes"] == [str(FIX)]
    assert [line.split()[3:] for line in about_one.out.splitlines()[1:]] == [
        ["load", "lp_two", "loaded"],
        ["load", "lp_all", "loaded", "in", "place", "of", "lp_one,", "lp_two"],
    ]
    assert (one.document["name"], one.document["replaced"], one.document["recorded"]) == (
        "lp_one",
        [],
        True,
    )
    assert str(ACCEPTED) in known.out
    assert re.search(rf"^fixes +{re.escape(str(FIX))}$", known.out, re.MULTILINE)
    assert two.status == 0
    assert [patch["name"] for patch in listed.document["patches"]] == ["lp_one", "lp_two"]
    assert all(patch["enabled"] and not patch["transition"] for patch in listed.document["patches"])
    assert listed.document["patches"][0]["objects"][0]["functions"] == [
        {"name": "cmdline_proc_show", "sympos": 1}
    ]
    assert (would.status, would.document["replaces"]) == (1, ["lp_one", "lp_two"])
    assert [(one["patch"], one["function"]) for one in would.document["lost"]] == [
        ("lp_two", "version_proc_show")
    ]
    assert [(one["patch"], one["function"]) for one in would.document["shared"]] == [
        ("lp_one", "cmdline_proc_show")
    ]
    assert [one["code"] for one in would.document["refusals"]] == ["earlier-fix-lost"]
    assert lost.is_refused("earlier-fix-lost", "vmlinux:version_proc_show() of lp_two")
    assert (every.document["replaced"], every.document["kept"]) == (["lp_one", "lp_two"], [])
    status = after.document
    assert [(item["patch"]["name"], item["loading"]["file"]) for item in status["patches"]] == [
        ("lp_all", "/lp/lp_all.ko")
    ]
    assert (status["verdict"], status["left_over"], status["interrupted"]) == ("ok", [], [])
    assert ["lp_all"] in [taint["modules"] for taint in status["taints"] if taint["flag"] == "K"]
    assert gone.out.startswith("lp_all is gone")
    assert (again.status, end.document["name"]) == (0, "lp_one")
    records = [
        (record["operation"], record["patch"], record["result"])
        for record in log.document["records"]
    ]
    steps = [("load", "lp_one"), ("load", "lp_two"), ("load", "lp_all"), ("unload", "lp_all")]
    steps += [("load", "lp_one"), ("unload", "lp_one")]
    assert records == [(*step, result) for step in steps for result in ("", f"{step[0]}ed")]
    assert any(
        "patching complete" in line for line in log.document["records"][1]["details"]["kernel"]
    )
    assert host.loaded() == []


def test_unloading_names_what_is_in_force_still(host: Host) -> None:
    _, _, first, status, last = host.suture(
        "load /lp/lp_one.ko", "load /lp/lp_two.ko", "unload lp_two", "status", "unload lp_one"
    )
    assert first.out.startswith("lp_two is gone: no task runs its code any more after ")
    assert "In force still: lp_one." in first.out
    assert "comes from live patches" in status.out
    assert "The kernel is tainted" not in status.out
    assert last.out.startswith("lp_one is gone: all tasks run the kernel's own code after ")


def test_calls_of_the_new_code_are_counted_and_scanners_are_told_what_is_fixed(host: Host) -> None:
    tracing = "/sys/kernel/tracing"
    counting = (
        f"until [ -e {tracing}/instances/suture_$!/events/suture_$!/enable ]; do sleep 0.1; done"
    )
    host.suture("load /lp/lp_one.ko")
    # A killed one leaves its probes, and the next one removes them.
    host.sh(
        f"suture coverage --seconds 600 >/dev/null 2>&1 & {counting}; kill -KILL $!; wait; true"
    )
    assert "lp_one:new_code" in host.sh(f"cat {tracing}/kprobe_events")
    said = host.sh(
        f"suture coverage lp-one --seconds 3 --json >/tmp/counted & sleep 0.2; {counting}; "
        "sleep 0.5; cat /proc/cmdline /proc/cmdline; wait; cat /tmp/counted"
    )
    assert "one\none\n" in said
    (one,) = json.loads(said[said.index("{\n") :])["patches"]
    assert one["patch"] == "lp_one"
    assert one["tasks"]["moved"] == one["tasks"]["total"] > 10
    assert {"name": "new_code", "replaces": [], "calls": 2} in one["functions"]
    assert host.sh(f"cat {tracing}/kprobe_events; ls {tracing}/instances") == ""
    name, vex, status = host.suture("uname", "vex --author me", "status --json")
    release = host.sh("uname -r").strip()
    assert name.out.split() == [release, *FIX.cves]
    assert [one["vulnerability"]["name"] for one in vex.document["statements"]] == list(FIX.cves)
    assert status.document["cves"] == list(FIX.cves)
    _, name, nothing, missing = host.suture(
        "unload lp_one", "uname", "coverage --seconds 0.1", "coverage lp_one"
    )
    assert name.out.split() == [release]
    assert nothing.out == "No live patch is in force.\n"
    assert missing.is_refused("patch-not-loaded", "lp_one")


def test_a_live_patch_of_a_newer_version_says_how_much_of_it_reaches_the_host(host: Host) -> None:
    _, shown, status, known, _ = host.suture(
        "load /lp/of_update.ko", "status", "status --json", "info lp_two", "unload lp_two"
    )
    share = (
        "has 1 of the 2 CVE fixes of 2-1 that reach this host; 1 need a reboot into 2-1 or later"
    )
    assert f"lp_two {share}\n  It lacks CVE-2024-0002." in shown.out
    assert status.document["patches"][0]["update"] == {
        "version": "2-1",
        "had": ["CVE-2024-0001"],
        "lacking": {"CVE-2024-0002": "layout-changed"},
    }
    assert re.search(r"^lacks +CVE-2024-0002: layout-changed$", known.out, re.MULTILINE)


def test_the_library_loads_and_unloads_as_its_page_shows(host: Host) -> None:
    first, second = host.sh("api").splitlines()
    assert first.startswith("lp_one is in force after ")
    assert second == "lp_one True"
    assert host.loaded() == []


def test_what_stands_in_the_way_is_refused_before_anything_is_changed(host: Host) -> None:
    cases = {
        "load /lp/lp_none.ko": ("kernel-lacks-symbol", "vmlinux has no symbol no_such_function"),
        "load /lp/lp_refuses.ko": (
            "kernel-refused",
            "pre-patch callback failed for object 'vmlinux'",
        ),
        "load /lp/lp_many.ko": ("kernel-lacks-symbol", "and the live patch does not say which"),
        "load /lp/holder.ko": ("not-a-live-patch", "livepatch=Y"),
        "load /lp/none": ("file-unreadable", "No such file"),
        "unload lp_one": ("patch-not-loaded", "no live patch of this name"),
        "force lp_one --yes": ("patch-not-loaded", "no live patch of this name"),
        "info lp_one": ("patch-not-loaded", "no live patch of this name"),
    }
    found = dict(zip(cases, host.suture(*cases), strict=True))
    for command, (code, words) in cases.items():
        assert found[command].is_refused(code, words)
    shows(found["load /lp/lp_refuses.ko"].refusal, "kernel-refused")
    assert host.loaded() == []


def test_others_at_the_same_function_are_named(host: Host) -> None:
    probe = "/sys/kernel/tracing/events/mine/watch/enable"
    host.sh("sysctl -q kernel.ftrace_enabled=0")
    try:
        (refused,) = host.suture("load /lp/lp_one.ko")
    finally:
        host.sh("sysctl -q kernel.ftrace_enabled=1")
    assert refused.is_refused("ftrace-disabled", "kernel.ftrace_enabled is 0")
    host.sh(
        f"echo 'p:mine/watch cmdline_proc_show' >/sys/kernel/tracing/kprobe_events; echo 1 >{probe}"
    )
    try:
        probed, ignored, gone = host.suture(
            "load /lp/lp_one.ko", "load /lp/lp_one.ko --ignore-probes", "unload lp_one"
        )
    finally:
        host.sh(f"echo 0 >{probe}; echo >/sys/kernel/tracing/kprobe_events")
    # With IBT the probe is behind the endbr64.
    assert probed.is_refused("function-probed", "a kprobe is set at cmdline_proc_show+0x")
    assert "(event mine/watch)" in probed.err
    assert (ignored.status, gone.status) == (0, 0)
    assert host.loaded() == []


def test_a_user_may_look_and_not_touch(host: Host) -> None:
    loaded, status, listed, unload, log = host.suture(
        "load /lp/lp_one.ko", "status", "list --json", "unload lp_one", "log", uid=1000
    )
    assert loaded.is_refused("not-privileged", "this process has no CAP_SYS_MODULE")
    assert unload.is_refused("not-privileged", "this process has no CAP_SYS_MODULE")
    assert (status.status, listed.document, log.status) == (
        0,
        {"supported": True, "patches": [], "stays": {}, "staying": [], "fixes": {}},
        0,
    )


def test_what_is_loaded_already_is_refused(host: Host) -> None:
    first, same, other, forced, gone = host.suture(
        "load /lp/lp_one.ko",
        "load /lp/lp_one.ko",
        "load /lp/other/lp_one.ko",
        "force lp_one --yes",
        "unload lp_one",
    )
    assert (first.status, gone.status) == (0, 0)
    assert same.is_refused("already-loaded", "is loaded as lp_one, with the same build ID")
    assert other.is_refused("module-name-taken", "a live patch of this name is in force")
    assert forced.is_refused("not-in-transition", "it is in force")
    shows(forced.refusal, "not-in-transition")


def test_tasks_that_stay_are_named_with_the_function_and_the_host_is_as_before(host: Host) -> None:
    host.sh("insmod /lp/holder.ko; head -c 1 /proc/holder >/dev/null & sleep 0.5")
    thread, sleeper, left, status, other, asked, back, listed = host.suture(
        "load /lp/lp_thread.ko --timeout 1",
        "load /lp/lp_sleep.ko --timeout 1",
        "load /lp/lp_sleep.ko --timeout 1 --no-revert",
        "status --json",
        "load /lp/lp_one.ko",
        "force lp_sleep",
        "unload lp_sleep",
        "list --json",
    )
    assert thread.is_refused(
        "transition-timed-out", "the transition was reversed, and the kernel is as it was"
    )
    assert "in holder_thread()" in thread.err
    assert "> holder_thread+0x" in thread.err
    assert sleeper.is_refused("transition-timed-out", "1 task did not switch to it")
    assert "head (process " in sleeper.err
    # It wakes ten times a second, to look whether it may go on.
    assert re.search(r"(in uninterruptible sleep|running): in holder_sleep\(\)", sleeper.err)
    assert left.is_refused("transition-stuck", "not reversed (--no-revert)")
    (moving,) = status.document["patches"]
    assert (status.document["verdict"], moving["patch"]["transition"]) == ("in-transition", True)
    assert [task["name"] for task in moving["behind"]] == ["head"]
    assert moving["behind"][0]["state"] in ("D", "R")
    assert [frame.partition("+")[0] for frame in moving["behind"][0]["holding"]] == ["holder_sleep"]
    assert other.is_refused("transition-under-way", "tasks are still switching to lp_sleep")
    assert asked.is_refused("not-confirmed", "was not confirmed")
    shows(asked.refusal, "not-confirmed")
    assert (back.status, listed.document) == (
        0,
        {"supported": True, "patches": [], "stays": {}, "staying": [], "fixes": {}},
    )
    assert host.loaded() == []


def test_a_task_that_leaves_in_time_and_busy_forking_and_stopped_ones_let_it_end(
    host: Host,
) -> None:
    host.sh(
        "(sleep 4; echo 0 >/sys/module/holder/parameters/holder_hold) >/dev/null 2>&1 & "
        "nice -n 19 sh -c 'while :; do :; done' & echo $! >>/tmp/busy; "
        "nice -n 19 sh -c 'while :; do /bin/true & wait; done' & echo $! >>/tmp/busy; "
        "sleep 1000 & kill -STOP $!; echo $! >>/tmp/busy"
    )
    loaded, gone = host.suture("load /lp/lp_sleep.ko --timeout 200 --json", "unload lp_sleep")
    host.sh("kill -9 $(cat /tmp/busy); rmmod holder")
    assert loaded.document["name"] == "lp_sleep"
    assert gone.status == 0


def test_two_at_once_and_a_signal(host: Host) -> None:
    host.sh("insmod /lp/holder.ko; head -c 1 /proc/holder >/dev/null & sleep 0.5")
    host.sh(
        "suture load /lp/lp_sleep.ko --timeout 300 >/tmp/first 2>&1 & echo $! >/tmp/pid; "
        "until [ -e /sys/kernel/livepatch/lp_sleep ]; do sleep 0.1; done"
    )
    second, status = host.suture("load /lp/lp_one.ko", "status --json")
    pid = int(host.sh("cat /tmp/pid"))
    assert second.is_refused("another-at-work", f"process {pid}: load lp_sleep")
    assert status.document["at_work"] == pid
    assert status.document["interrupted"] == []
    # Ctrl-C; what is begun in the background has it ignored, SIGTERM does the same.
    host.sh(f"kill -TERM {pid}; while [ -e /proc/{pid} ]; do sleep 0.1; done")
    said = host.sh("cat /tmp/first")
    assert (
        "error[change-interrupted]: lp_sleep: the transition was reversed, and the kernel is as it was"
        in said
    )
    assert host.loaded() == []
    host.sh("echo 0 >/sys/module/holder/parameters/holder_hold; sleep 0.5; rmmod holder")


@pytest.mark.make_test_takes("6.12")
def test_a_task_that_stays_in_the_new_code_keeps_the_live_patch_in_force(host: Host) -> None:
    """Also ``suture recover`` turns a transition round that does not end: here back into force, and
    out of it above."""
    host.sh("insmod /lp/holder.ko; head -c 1 /proc/holder >/dev/null & sleep 0.5")
    (stuck,) = host.suture("load /lp/lp_sleep.ko --timeout 1 --no-revert")
    (seen_by_a_user,) = host.suture("status", uid=1000)
    assert "; run as root to see which tasks have not switched\n" in seen_by_a_user.out
    way_out, recovered, left_undone, log = host.suture(
        "status",
        "recover --timeout 1 --json",
        "status --check",
        "log --json -n 1",
    )
    assert (
        "  It ends when these tasks are stopped or restarted; 'suture unload lp_sleep' reverses it."
        in way_out.out
    )
    assert [record["operation"] for record in log.document["records"]] == ["recover", "recover"]
    assert log.document["records"][1]["result"] == "reversed"
    assert stuck.is_refused("transition-stuck", "not reversed (--no-revert)")
    shows(stuck.refusal, "transition-stuck")
    assert (recovered.document["ended"], recovered.document["reversed"]) == ("lp_sleep", True)
    assert (left_undone.status, host.loaded()) == (0, [])
    host.sh("echo 0 >/sys/module/holder/parameters/holder_hold; sleep 0.5")
    (loaded,) = host.suture("load /lp/lp_stay.ko")
    assert loaded.status == 0
    host.sh("head -c 1 /proc/holder >/dev/null & sleep 0.5")
    back, left, going, recovered, status = host.suture(
        "unload lp_stay --timeout 1",
        "unload lp_stay --timeout 1 --no-revert",
        "status --json",
        "recover --timeout 1 --json",
        "status --json",
    )
    assert back.is_refused(
        "transition-timed-out", "1 task did not leave it within 1 s; it is in force again"
    )
    shows(back.refusal, "transition-timed-out")
    assert "head (process " in back.err
    assert re.search(r"(in uninterruptible sleep|running): in new_code\(\)", back.err)
    assert left.is_refused("transition-stuck", "not reversed (--no-revert)")
    (moving,) = going.document["patches"]
    assert (moving["patch"]["enabled"], moving["patch"]["transition"]) == (False, True)
    assert (recovered.document["ended"], recovered.document["reversed"]) == ("lp_stay", True)
    (again,) = status.document["patches"]
    assert (again["patch"]["enabled"], again["patch"]["transition"]) == (True, False)
    host.sh("echo 0 >/sys/module/lp_stay/parameters/stay; sleep 0.5")
    (gone,) = host.suture("unload lp_stay")
    assert (gone.status, host.loaded()) == (0, [])
    host.sh("rmmod holder")


@pytest.mark.parametrize("each_target", SERIES[:1], indirect=True)
def test_status_watches_live_on_a_terminal_and_elsewhere(host: Host) -> None:
    host.sh("mkdir -p /dev/pts && mount -t devpts devpts /dev/pts")
    host.sh(
        "terminal suture status --watch >/tmp/terminal 2>&1 & echo $! >/tmp/pids; "
        "suture status --watch --json >/tmp/json 2>&1 & echo $! >>/tmp/pids"
    )
    for command, on_terminal, in_json in (
        ("load /lp/lp_one.ko", "1 live patch in force", '"name": "lp_one"'),
        ("unload lp_one", "no live patch in force", '"patches": ..,'),
    ):
        (done,) = host.suture(command)
        assert done.status == 0
        host.sh(
            "for file in /tmp/terminal /tmp/json; do : >$file; done"
        )  # what is seen now is true now
        host.sh(
            f"until grep -q '{on_terminal}' /tmp/terminal && grep -q '{in_json}' /tmp/json; do sleep 0.2; done"
        )
    host.sh(
        "for pid in $(cat /tmp/pids); do kill $pid; while [ -e /proc/$pid ]; do sleep 0.1; done; done"
    )
    assert "Traceback" not in host.sh("cat /tmp/terminal /tmp/json")


@pytest.mark.parametrize("each_target", SERIES[:1], indirect=True)
def test_one_that_waits_loads_what_it_has_read_whatever_became_of_the_file(host: Host) -> None:
    """It waits for another one that changes live patches; meanwhile the file becomes another live
    patch."""
    host.sh(
        "cp /lp/lp_one.ko /tmp/given.ko; "
        "(exec 9>/run/suture.lock; flock 9; exec sleep 1000) & echo $! >/tmp/holder; "
        "suture load /tmp/given.ko --wait 500 --json >/tmp/loaded 2>&1 & echo $! >/tmp/pid; "
        "until ls -l /proc/$(cat /tmp/pid)/fd | grep -q suture.lock; do sleep 0.1; done; "
        "cp /lp/lp_two.ko /tmp/given.ko; kill $(cat /tmp/holder); "
        "while [ -e /proc/$(cat /tmp/pid) ]; do sleep 0.1; done"
    )
    found = json.loads(host.sh("sed -n '/^{/,$p' /tmp/loaded"))
    assert found["sha256"] == host.sh("sha256sum /lp/lp_one.ko").split()[0]
    assert host.loaded() == ["lp_one", "lp_one"], "the module, and the core's directory"
    assert host.suture("unload lp_one")[0].status == 0


def test_a_torn_journal_is_read_and_written_on(host: Host) -> None:
    host.sh(
        """mkdir -p /var/lib/suture; printf '{"phase":"intent","id":"x' >>/var/lib/suture/journal"""
    )
    before, loaded, gone, after = host.suture(
        "log --json -n 0", "load /lp/lp_one.ko", "unload lp_one", "log --json -n 0"
    )
    assert [one.status for one in (before, loaded, gone, after)] == [0] * 4, (before, after)
    assert len(after.document["records"]) == len(before.document["records"]) + 4


def test_live_patches_of_the_kernels_own_are_managed_alike(host: Host) -> None:
    loads = host.suture(
        *(
            f"load /lp/{name}.ko"
            for name in ("livepatch_sample", "test_klp_callbacks_demo", "test_klp_atomic_replace")
        ),
        "list --json",
        *(
            f"unload {name}"
            for name in ("test_klp_atomic_replace", "test_klp_callbacks_demo", "livepatch_sample")
        ),
    )
    # The sample and the selftest replace the same function: the selftest replaces all before it
    # only when told to.
    assert [done.status for done in loads] == [0] * len(loads), loads
    assert len(loads[3].document["patches"]) == 3
    assert host.loaded() == []


@pytest.mark.make_test_takes("6.12")
def test_killed_at_any_change_the_next_command_knows_and_recovers(host: Host) -> None:
    """Load on one kernel and unload on the other; ``SUTURE_EVERY_CALL=FILE`` takes both, and all
    calls, on both."""
    operations = (
        ["load", "unload"] if EVERY else ["load" if "6.1." in host.sh("uname -r") else "unload"]
    )
    for operation in operations:
        rows = injected(host.sh, f"inject {operation}", "/lp/lp_one.ko")
        assert {row["recovered"] for row in rows} == {"gone", "in force"}
        assert {"load": "finit_module*", "unload": "delete_module*"}[operation] in {
            row["call"] for row in rows
        }
        # Killed before the intent is durable nothing has been done; killed after it, status says
        # what was interrupted.
        assert {row["interrupted"] for row in rows} == {0, 1}
    host.suture("unload lp_one")


def test_other_tools_commands_do_what_their_scripts_and_units_expect(host: Host) -> None:
    """``kpatch load --all`` is what kpatch.service runs; modules lie where packages for it put
    them."""
    # The root directory that the kernel makes of an initramfs is everybody's to write, and so
    # trusted by nobody.
    host.sh(
        "chmod 755 /; d=/var/lib/kpatch/$(uname -r); mkdir -p $d; cp /lp/lp_one.ko $d; cp /lp/lp_two.ko $d/lp-two.ko"
    )
    at_boot, again, listed, ready, patches, missing, gone, one, rest, none = host.suture(
        "kpatch load --all",
        "kpatch load --all",
        "kpatch list",
        "klp status",
        "klp -v patches",
        "kpatch unload lp_none",
        "kpatch unload lp_one.ko",
        "kpatch load lp_one",
        "kpatch unload --all",
        "kpatch list",
    )
    release = host.sh("uname -r").strip()
    directory = f"/var/lib/kpatch/{release}"
    took = r"(waiting \(up to 75 seconds\) for patch transition to complete...\ntransition complete \(\d+ seconds\)\n)"
    loading = "".join(
        rf"loading patch module: {re.escape(directory)}/{file}\n{took}"
        for file in ("lp-two.ko", "lp_one.ko")
    )
    assert re.fullmatch(loading, at_boot.out), at_boot
    assert (at_boot.status, at_boot.err) == (0, "")
    already = "".join(
        f"module named {name} already loaded and enabled\n" for name in ("lp_two", "lp_one")
    )
    assert (again.status, again.out) == (0, already)
    in_force, installed = listed.out.split("\n\n")
    assert in_force == "Loaded patch modules:\nlp_two [enabled]\nlp_one [enabled]"
    assert installed == f"Installed patch modules:\nlp_two ({release})\nlp_one ({release})\n"
    assert (ready.status, ready.out) == (0, "ready\n")
    assert [line for line in patches.out.splitlines() if line.startswith("lp_")] == [
        "lp_two",
        "lp_one",
    ]
    assert patches.out.count("    active: 1\n") == 2
    assert patches.out.count("    CVE: (not known") == 1
    assert (
        f"    CVE: {' '.join(FIX.cves)}\n    bug fixes and enhancements: {FIX.title}\n"
        in patches.out
    )
    assert (missing.status, missing.out) == (1, "")
    assert missing.err.splitlines()[0] == "kpatch: patch module lp_none is not loaded"
    assert re.fullmatch(
        rf"disabling patch module: lp_one\n{took}unloading patch module: lp_one\n", gone.out
    ), gone
    assert (gone.status, one.status, rest.status) == (0, 0, 0)
    names = [
        line.rpartition(" ")[2] for line in rest.out.splitlines() if line.startswith("unloading")
    ]
    assert names == ["lp_one", "lp_two"]
    assert none.out.startswith("Loaded patch modules:\n\nInstalled")
    host.sh("rm -r /var/lib/kpatch")
    assert host.loaded() == []


def test_kpatch_waits_for_what_is_loaded_already_and_still_moving(host: Host) -> None:
    host.sh(
        "sed 's/-m suture/-m suture.compat.kpatch/' /bin/suture >/bin/kpatch; chmod +x /bin/kpatch; "
        "insmod /lp/holder.ko; head -c 1 /proc/holder >/dev/null & sleep 0.5"
    )
    (left,) = host.suture("load /lp/lp_sleep.ko --timeout 1 --no-revert")
    assert left.is_refused("transition-stuck", "not reversed (--no-revert)")
    said = host.sh(
        ": >/tmp/said; kpatch load /lp/lp_sleep.ko >/tmp/said 2>&1 & pid=$!; "
        "until grep -q waiting /tmp/said; do sleep 0.1; done; "
        "cat /sys/kernel/livepatch/lp_sleep/transition; echo 0 >/sys/module/holder/parameters/holder_hold; "
        "wait $pid; echo $?; cat /sys/kernel/livepatch/lp_sleep/transition /tmp/said"
    )
    expected = (
        r"1\n0\n0\nmodule named lp_sleep already loaded and enabled\n"
        r"waiting \(up to 75 seconds\) for patch transition to complete...\ntransition complete \(\d+ seconds\)\n"
    )
    assert re.fullmatch(expected, said), said
    host.suture("unload lp_sleep")
    host.sh("rmmod holder")
    assert host.loaded() == []


@pytest.mark.make_test_takes("6.12")
def test_a_forced_transition_is_over_and_what_goes_out_of_force_by_it_stays(host: Host) -> None:
    """One of the last: what is forced out stays until the next boot."""
    host.sh("insmod /lp/holder.ko; head -c 1 /proc/holder >/dev/null & sleep 0.5")
    stuck, forced, status, log = host.suture(
        "load /lp/lp_stay.ko --timeout 1 --no-revert",
        "force lp_stay --yes --json",
        "status --json",
        "log --json -n 1",
    )
    assert stuck.is_refused("transition-stuck", "1 task did not switch to it")
    assert [task["name"] for task in forced.document["tasks"]] == ["head"]
    assert forced.document["stays"] == []
    (patch,) = status.document["patches"]
    assert (patch["patch"]["enabled"], patch["patch"]["transition"]) == (True, False)
    assert (status.document["verdict"], log.document["records"][-1]["result"]) == ("ok", "forced")
    host.sh(
        "echo 0 >/sys/module/holder/parameters/holder_hold; sleep 0.5; head -c 1 /proc/holder >/dev/null & sleep 0.5"
    )
    stuck, forced, after, told, again, stays = host.suture(
        "unload lp_stay --timeout 1 --no-revert",
        "force lp_stay --yes",
        "status --check --json",
        "status",
        "load /lp/lp_stay.ko",
        "unload lp_stay",
    )
    assert stays.is_refused("module-stays", "its module is still in use")
    shows(stays.refusal, "module-stays")
    assert stuck.is_refused("transition-stuck", "1 task did not leave it")
    assert "Out of force, but in memory until the next boot: lp_stay." in forced.out
    assert (after.status, after.document["left_over"], after.document["forced"]) == (
        4,
        ["lp_stay"],
        ["lp_stay"],
    )
    assert "; 'suture force' put one out of force: reboot when you can" in told.out
    assert again.is_refused("module-name-taken", "is out of force but still in memory")
    assert host.loaded() == ["lp_stay"]
    host.sh("echo 0 >/sys/module/lp_stay/parameters/stay; sleep 0.5; rmmod holder")


def test_nothing_is_changed_where_modules_are_disabled(host: Host) -> None:
    """The last: it holds until the next boot."""
    host.sh("sysctl -q kernel.modules_disabled=1")
    refused = host.suture("load /lp/lp_one.ko", "unload lp_one", "recover")
    assert all(
        done.is_refused("modules-disabled", "kernel.modules_disabled is 1") for done in refused
    )


def test_a_kernel_that_is_locked_down_is_not_given_what_is_unsigned(
    files_for: FilesFor, workspace: Workspace, tmp_path: Path
) -> None:
    """Not by Secure Boot; `tests.lab.test_secure_boot` is where it is."""
    files = files_for(workspace) | runtime.files(*runtime.SIGNATURES)
    pair = sign.new_key(
        tmp_path, "key", "Build time autogenerated kernel key"
    )  # as the kernel's own is called
    files["/lp/namesake.ko"] = sign.sign(
        files["/lp/lp_one.ko"], "", Signer(str(pair.key), pair.certificate)
    )
    cmdline = "lockdown=integrity"
    with Machine.boot(workspace.target, files=files, memory=1024, cmdline_extra=cmdline) as machine:
        unsigned, forged, namesake = Host(machine).suture(
            *(f"load /lp/{name}.ko" for name in ("lp_one", "forged", "namesake"))
        )
        assert unsigned.is_refused(
            "signature-required", "it has no signature, and the kernel is locked down (integrity)"
        )
        assert "not booted by UEFI firmware" in unsigned.err
        # A signature that is none, and one that may be by a key that is not shown: only the kernel
        # knows, and says so.
        assert forged.is_refused("signature-required", "finit_module: EBADMSG")
        assert namesake.is_refused("signature-required", "finit_module: EPERM")
        assert "unsigned module loading is restricted" in namesake.err
        assert Host(machine).loaded() == []
