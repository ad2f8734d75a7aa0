# SPDX-License-Identifier: GPL-2.0-or-later
"""Live patches, good and bad, tried out in the lab.  The modules are built by the kernel's kbuild
alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from suture.elf import reader
from suture.kernel.release import Target
from suture.lab.complaints import Complaint
from suture.lab.livepatch import TrialPlan, try_out
from suture.lab.results import CallCount, ScriptPhase, TestReport
from suture.lab.scripts import GuestScript
from suture.module.inspect import inspect
from suture.workspace.prepare import Workspace
from tests.examples import shows
from tests.lab.conftest import BuildModule

LIVE_PATCH = """\
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

%(code)s

static struct klp_func funcs[] = {
    { .old_name = "%(old)s", .new_func = new_code },
    { }
};
static struct klp_object objs[] = { { .name = %(object)s, .funcs = funcs }, { } };
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objs };

static int __init begin(void) { return %(enable)s; }
static void __exit end(void) { }
module_init(begin);
module_exit(end);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
"""

SHOW = (
    'static int new_code(struct seq_file *m, void *v) { %s seq_puts(m, "patched\\n"); return 0; }'
)


class Lab:
    """Builds live patches and tries them out on the target."""

    def __init__(self, target: Target, build_module: BuildModule) -> None:
        self._target, self._build = target, build_module

    def build(
        self,
        name: str,
        code: str,
        old: str = "cmdline_proc_show",
        objname: str = "",
        enable: str = "klp_enable_patch(&patch)",
    ) -> bytes:
        named = f'"{objname}"' if objname else "NULL"
        return self._build(
            name, LIVE_PATCH % {"code": code, "old": old, "object": named, "enable": enable}
        )

    def try_out(
        self,
        module: bytes,
        *scripts: str,
        transition_deadline: float = 60,
        script_deadline: float = 60,
        rounds: int = 1,
        workload: bool = False,
    ) -> TestReport:
        patch = inspect(reader.read(module, "the module")).patch
        names = ["script"] if len(scripts) == 1 else [f"{n}.sh" for n, _ in enumerate(scripts)]
        named = [GuestScript(*one) for one in zip(names, map(str.encode, scripts), strict=True)]
        plan = TrialPlan(tuple(named), script_deadline, transition_deadline, rounds, workload)
        return try_out(self._target, module, patch, plan)


@pytest.fixture(scope="session")
def lab(target: Target, build_module: BuildModule) -> Lab:
    return Lab(target, build_module)


def codes(report: TestReport) -> tuple[str | None, list[str]]:
    return (report.failure.code if report.failure else None), [
        complaint.what for complaint in report.complaints
    ]


def test_a_good_live_patch_changes_the_kernel_and_is_taken_out_again(lab: Lab) -> None:
    report = lab.try_out(
        lab.build("good", SHOW % ""), "cat /proc/cmdline; grep -q patched /proc/cmdline"
    )
    assert codes(report) == (None, [])
    assert report.passed
    assert [(run.phase, run.status) for run in report.scripts] == [
        (ScriptPhase.BEFORE, 1),
        (ScriptPhase.PATCHED, 0),
        (ScriptPhase.REVERTED, 1),
    ]
    assert report.scripts[1].output == "patched\n"
    assert "patched" not in report.scripts[0].output + report.scripts[2].output
    assert report.counts == (CallCount("vmlinux", "cmdline_proc_show", "new_code", 2),)
    assert [step.name for step in report.steps] == [
        "boot",
        "script before",
        "load",
        "patch",
        "script patched",
        "unpatch",
        "unload",
        "script reverted",
    ]


def test_a_warning_in_the_new_code_fails_the_run(lab: Lab) -> None:
    report = lab.try_out(lab.build("warns", SHOW % "WARN_ON_ONCE(1);"), "cat /proc/cmdline")
    assert codes(report) == (None, ["WARNING"])
    assert not report.passed
    assert any("new_code" in line for line in report.complaints[0].lines)


def test_new_code_that_kills_the_kernel_is_reported_with_its_last_words(lab: Lab) -> None:
    script = '[ "$phase" = before ] || cat /proc/cmdline'
    report = lab.try_out(lab.build("kills", SHOW % 'panic("by the patch");'), script)
    assert codes(report) == ("lab-guest-died", ["panic"])
    assert "by the patch" in str(report.failure)
    assert [run.phase for run in report.scripts] == [ScriptPhase.BEFORE]


def test_a_transition_that_a_sleeping_task_holds_up_names_the_task(lab: Lab) -> None:
    code = """static long new_code(ktime_t rqtp, const int mode, const int clockid) { return 0; }"""
    module = lab.build("stalls", code, old="hrtimer_nanosleep")
    # The core wakes sleepers with a fake signal after 15 s; before that, this one stays where it
    # is.
    report = lab.try_out(module, "[ $phase != before ] || sleep 1000 &", transition_deadline=4)
    assert codes(report) == ("lab-transition-stalled", [])
    assert report.failure is not None
    shows(report.failure, "lab-transition-stalled")
    assert any("sleep" in line for line in report.failure.evidence)
    assert any("hrtimer_nanosleep" in line for line in report.failure.evidence)


def test_a_module_that_is_patched_is_loaded_first(lab: Lab) -> None:
    code = """
    struct block_device;
    static int new_code(struct block_device *b, unsigned int m, unsigned int c, unsigned long a) { return -ENOTTY; }
    """
    module = lab.build("patches_loop", code, old="lo_ioctl", objname="loop")
    report = lab.try_out(module, "[ -e /sys/module/loop ] || exit 9; losetup /dev/loop0; true")
    assert codes(report) == (None, [])
    assert [(count.objname, count.function) for count in report.counts] == [("loop", "lo_ioctl")]
    calls = report.counts[0].calls
    assert calls is not None
    assert calls >= 1


def test_a_script_that_fails_on_the_new_code_fails_the_run(lab: Lab) -> None:
    report = lab.try_out(lab.build("script_fails", SHOW % ""), "echo said; exit 3")
    assert codes(report) == ("lab-script-failed", [])
    assert report.failure is not None
    shows(report.failure, "lab-script-failed")
    assert [run.status for run in report.scripts] == [3, 3, 3]
    assert "said" in str(report.failure)


def test_each_of_several_scripts_has_its_result_and_one_that_hangs_stops_none(lab: Lab) -> None:
    """SIGINT is as it is in a shell of a user: a script may send it."""
    hangs = "[ $phase != patched ] || { echo waiting; trap '' TERM; sleep 1000 & wait; }"
    sends = "sh -c 'kill -INT $$'; [ $? = 130 ]"
    fails = "echo WARNING: of the third >/dev/kmsg; exit 3"
    module = lab.build("scripts", SHOW % "")
    report = lab.try_out(module, hangs, sends, fails, script_deadline=3)
    assert codes(report) == ("lab-deadline", ["WARNING"] * 3)
    assert [(run.name, run.status, run.late) for run in report.scripts] == [
        *(("0.sh", 0, False), ("1.sh", 0, False), ("2.sh", 3, False)),
        *(("0.sh", 124, True), ("1.sh", 0, False), ("2.sh", 3, False)),
        *(("0.sh", 0, False), ("1.sh", 0, False), ("2.sh", 3, False)),
    ]
    assert report.scripts[3].output == "waiting\n"
    assert [failure.code for failure in report.failures] == ["lab-deadline", "lab-script-failed"]
    during = [report.during(complaint) for complaint in report.complaints]
    assert [(step.name, step.script) for step in during if step is not None] == [
        ("script before", "2.sh"),
        ("script patched", "2.sh"),
        ("script reverted", "2.sh"),
    ]


def test_rounds_end_with_the_first_in_which_the_kernel_complains(lab: Lab) -> None:
    script = """
    [ -n "$(ps | grep '[l]ab/workload')" ] || [ $phase != patched ] || exit 9
    [ $round != 2 ] || echo WARNING: said in round 2 >/dev/kmsg
    cat /proc/cmdline
    """
    report = lab.try_out(lab.build("rounds", SHOW % ""), script, rounds=9, workload=True)
    assert codes(report) == (None, ["WARNING"])
    assert (report.rounds, report.rounds_done) == (9, 1)
    (during,) = map(report.during, report.complaints)
    assert during is not None
    assert (during.name, during.round) == ("script patched", 2)
    assert [step.round for step in report.steps if step.name == "unload"] == [1, 2]
    assert [count.calls for count in report.counts] == [2]
    times = report.transitions("patch")
    assert times is not None
    assert 0 < times.min <= times.median <= times.max


def test_a_workload_that_ends_before_the_rounds_do_is_said(lab: Lab) -> None:
    script = "[ $phase != patched ] || kill $(pidof httpd)"
    report = lab.try_out(lab.build("workload", SHOW % ""), script, workload=True)
    assert report.failure is not None
    shows(report.failure, "lab-workload-ended")
    assert [step.name for step in report.steps][-1] == "workload"


def test_a_module_that_the_kernel_does_not_take_is_reported_with_the_reason(lab: Lab) -> None:
    report = lab.try_out(lab.build("no_such", SHOW % "", old="no_such_function"))
    assert codes(report) == ("lab-load-failed", [])
    assert report.failure is not None
    shows(report.failure, "lab-load-failed")
    assert "symbol 'no_such_function' not found" in str(report.failure)


def test_a_module_that_does_not_load_here_is_named(lab: Lab) -> None:
    """Software emulation has no VMX."""
    code = "struct file;\nstatic int new_code(struct file *filp) { return 0; }"
    report = lab.try_out(
        lab.build("patches_vmx", code, old="vmx_hardware_enable", objname="kvm_intel")
    )
    assert report.failure is not None
    shows(report.failure, "lab-prepare-failed")
    assert "kvm_intel" in report.failure.found


def test_a_live_patch_that_its_module_does_not_enable_is_told_from_one_that_waits(lab: Lab) -> None:
    code = f"static struct klp_patch patch;\n{SHOW % ''}\nvoid *kept = &patch;"
    report = lab.try_out(lab.build("idle", code, enable="0"))
    assert report.failure is not None
    shows(report.failure, "lab-not-enabled")


def test_a_live_patch_that_somebody_else_takes_out_is_reported(lab: Lab) -> None:
    script = "[ $phase != patched ] || { echo 0 >/sys/kernel/livepatch/leaves/enabled; sleep 5; }"
    report = lab.try_out(lab.build("leaves", SHOW % ""), script)
    assert report.failure is not None
    shows(report.failure, "lab-unload-failed")


def test_the_command_prints_what_the_library_reports(
    lab: Lab, workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "good.ko").write_bytes(lab.build("command", SHOW % ""))
    (tmp_path / "script").write_text("cat /proc/cmdline")
    command = [
        sys.executable,
        "-c",
        "import sys; from suture.cli.app import main; sys.exit(main())",
        "test",
        "good.ko",
    ]
    command += ["--script", "script", "--junit", "out.xml", "--json"]  # for the module's own kernel
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    finished = subprocess.run(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    document = json.loads(finished.stdout)
    assert (finished.returncode, document["passed"], document["failure"]) == (0, True, None)
    assert document["functions"][0]["calls"] == 1
    cases = [case.get("name") for case in ElementTree.parse(tmp_path / "out.xml").iter("testcase")]
    assert cases == [
        *("boot", "script before: script", "load", "patch", "script patched: script"),
        *("unpatch", "unload", "script reverted: script"),
    ]


def test_a_report_with_a_complaint_has_not_passed() -> None:
    report = TestReport("r", "tcg", "p", (), (), (), (Complaint("WARNING", ("WARNING: x",)),), None)
    assert not report.passed
    assert report.as_dict()["complaints"] == [
        {
            "what": "WARNING",
            "lines": ("WARNING: x",),
            "during": None,
            "script": None,
            "round": None,
        }
    ]
