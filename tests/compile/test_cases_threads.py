# SPDX-License-Identifier: GPL-2.0-or-later
"""Replaced functions that kernel threads or idle tasks have on their stacks: refused, told, or
built where nothing waits in them."""

from __future__ import annotations

from pathlib import Path

import pytest

import suture
from suture.builder.inputs import NO_CHOICES, REPLACE_THREAD, Choices
from suture.errors import Acceptance, Finding, Refusal
from suture.kernel.release import Target
from suture.verify.kernel import Kernel
from suture.workspace.prepare import Workspace
from tests.examples import shows
from tests.patches import Edit, diff

pytestmark = pytest.mark.make_test_takes("6.1")

CASES = Path(__file__).resolve().parents[1] / "cases"

SAID = '\tpr_info_once("said\\n");\n'


def said(path: str, before: str, after: str = "") -> Edit:
    """A message between two pieces of text that follow one another."""
    return Edit(path, before + after, before + SAID + after)


STAYS = "thread-function-replaced"

REFUSED = {
    "in a loop around schedule()": (
        STAYS,
        "prune_tree_thread()",
        said("kernel/audit_tree.c", "static int prune_tree_thread(void *unused)\n{\n"),
    ),
    "handed over by a table": (
        STAYS,
        "lockd()",
        said("fs/lockd/svc.c", "is called from svc_recv() */\n\tset_freezable();\n"),
    ),
    "sleeps in a timed wait": (
        STAYS,
        "watchdog()",
        said("kernel/hung_task.c", "\tset_user_nice(current, 0);\n\n", "\tfor ( ; ; ) {"),
    ),
    "sleeps in a macro": (
        STAYS,
        "rcu_gp_kthread()",
        said("kernel/rcu/tree.c", "{\n\trcu_bind_gp_kthread();\n"),
    ),
    "sleeps in a function of its own": (
        STAYS,
        "devtmpfs",
        said("drivers/base/devtmpfs.c", "\n\tcomplete(&setup_done);\n"),
    ),
    "of all sleeping tasks": (
        STAYS,
        "schedule_timeout()",
        said(
            "kernel/time/timer.c",
            "schedule_timeout(signed long timeout)\n{\n\tstruct process_timer timer;\n"
            "\tunsigned long expire;\n\n",
        ),
    ),
    "of threads of processors": (
        STAYS,
        "smpboot_thread_fn()",
        said("kernel/smpboot.c", "\tstruct smp_hotplug_thread *ht = td->ht;\n\n", "\twhile (1) {"),
    ),
    "the idle loop": (
        "idle-function-replaced",
        "do_idle()",
        said(
            "kernel/sched/idle.c", "\tint cpu = smp_processor_id();\n\tbool got_tick = false;\n\n"
        ),
    ),
    "around the idle loop": (
        "idle-function-replaced",
        "cpu_startup_entry()",
        said("kernel/sched/idle.c", "void cpu_startup_entry(enum cpuhp_state state)\n{\n"),
    ),
    "in the idle loop": (
        "idle-function-replaced",
        "call_cpuidle()",
        said(
            "kernel/sched/idle.c", "\t\t      int next_state)\n{\n", "\t/*\n\t * The idle task must"
        ),
    ),
    "of offline processors": (
        "idle-function-replaced",
        "native_play_dead()",
        said("arch/x86/kernel/smpboot.c", "\tplay_dead_common();\n", "\ttboot_shutdown("),
    ),
    "idle by order": (
        "idle-function-replaced",
        "play_idle_precise()",
        said("kernel/sched/idle.c", "\tstruct idle_timer it;\n\n"),
    ),
}

SILENT = {
    "a work function": said("mm/vmstat.c", "static void vmstat_update(struct work_struct *w)\n{\n"),
    "a function that a thread calls when there is work": said(
        "kernel/softirq.c", "static void run_ksoftirqd(unsigned int cpu)\n{\n"
    ),
    "a read that waits for user space": said(
        "fs/pipe.c",
        "\t/* Null read succeeds. */\n\tif (unlikely(total_len == 0))\n\t\treturn 0;\n\n",
    ),
    "the work of a thread": said(
        "fs/jbd2/commit.c", "\t * all outstanding updates to complete.\n\t */\n\n"
    ),
    "a timer's function": said(
        "net/ipv4/tcp_timer.c", "static void tcp_keepalive_timer (struct timer_list *t)\n{\n"
    ),
    "a system call": said("kernel/sys.c", "static int do_sysinfo(struct sysinfo *info)\n{\n"),
}


def patch(workspace: Workspace, path: Path, edit: Edit) -> Path:
    written = path / "said.patch"
    written.write_text(diff(workspace.tree, edit))
    return written


@pytest.mark.parametrize("case", REFUSED)
def test_a_function_that_a_task_stays_in_is_refused(
    case: str, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    code, where, edit = REFUSED[case]
    with pytest.raises(Refusal) as refused:
        suture.build([patch(each_workspace, tmp_path, edit)], each_target)
    assert refused.value.code == code
    assert where in refused.value.where
    if where == "do_idle()":
        shows(refused.value, "idle-function-replaced")


@pytest.mark.parametrize("case", SILENT)
def test_an_ordinary_function_is_replaced_in_silence(
    case: str, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    assert built(patch(each_workspace, tmp_path, SILENT[case]), each_target) == ()


def built(path: Path, target: Target, choices: Choices = NO_CHOICES) -> tuple[Finding, ...]:
    return suture.build([path], target, choices=choices).findings


@pytest.mark.parametrize("case", ["kthreadd", "kjournald2", "worker-thread"])
def test_a_main_function_is_refused_wherever_it_is_handed_over(case: str, target: Target) -> None:
    with pytest.raises(Refusal) as refused:
        suture.build([CASES / f"{case}.patch"], target)
    assert refused.value.code == STAYS
    assert "--replace-thread" in refused.value.remedy


def test_code_that_the_entry_calls_is_refused(target: Target) -> None:
    with pytest.raises(Refusal) as refused:
        suture.build([CASES / "noinstr.patch"], target)
    assert refused.value.code == "caller-uncertain"


KJOURNALD = CASES / "kjournald2.patch"
ACCEPTED = {
    "--replace-thread": Choices(replace_threads=frozenset({"kjournald2"})),
    "--accept": Choices(accepted=(Acceptance(STAYS, "kjournald2", "nothing is mounted"),)),
}


@pytest.mark.parametrize("way", ACCEPTED)
def test_an_author_who_knows_replaces_a_main_function(way: str, target: Target) -> None:
    (finding,) = built(KJOURNALD, target, ACCEPTED[way])
    assert finding.subject == f"{STAYS}:kjournald2"
    assert finding.because == ("nothing is mounted" if way == "--accept" else REPLACE_THREAD)


def test_the_reason_that_the_author_gives_is_the_one_that_counts(target: Target) -> None:
    both = Choices(
        frozenset(), frozenset(), frozenset({"kjournald2"}), accepted=ACCEPTED["--accept"].accepted
    )
    (finding,) = built(KJOURNALD, target, both)
    assert finding.because == "nothing is mounted"


def test_an_author_who_knows_replaces_the_idle_loop(
    target: Target, workspace: Workspace, tmp_path: Path
) -> None:
    written = patch(workspace, tmp_path, REFUSED["in the idle loop"][2])
    accepted = (Acceptance("idle-function-replaced", "call_cpuidle", "never unloaded"),)
    (finding,) = built(written, target, Choices(accepted=accepted))
    assert finding.because == "never unloaded"


def test_a_function_that_threads_sleep_in_is_built_with_a_warning(
    each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    path = "net/sunrpc/svc_xprt.c"
    text = (each_workspace.tree / path).read_text()
    begins = text.index("svc_alloc_arg(rqstp)", text.index("svc_recv(struct svc_rqst *rqstp"))
    line = text.rindex("\n\n", 0, begins)
    edit = Edit(
        path, text[line : begins + 20], text[line : line + 2] + SAID + text[line + 2 : begins + 20]
    )
    (finding,) = built(patch(each_workspace, tmp_path, edit), each_target)
    assert finding.kind.code == "thread-sleeps-inside"
    assert "nfsd()" in finding.found
    assert finding.level == "warn"
    shows(finding.refusal(), "thread-sleeps-inside")


def test_the_threads_of_a_kernel_are_found_once_and_kept(each_target: Target) -> None:
    threads = Kernel(each_target).threads("vmlinux")
    stay = {main.name: main.thread for main in threads.mains.values() if main.stays}
    assert stay["kswapd"] == "kswapd%d"
    assert {
        "kthreadd",
        "worker_thread",
        "oom_reaper",
        "devtmpfs_work_loop",
        "irq_thread",
    } <= stay.keys()
    assert not {"kernel_init", "audit_send_list_thread", "multi_cpu_stop"} & stay.keys()
    assert Kernel(each_target).threads("vmlinux") == threads
