# SPDX-License-Identifier: GPL-2.0-or-later
"""A test of a live patch module in the lab, from boot to unload.

1. Boot the target; load the modules that the patch changes or needs.
2. Run each script (phase ``before``): the old code.
3. Once, or in each of several rounds:

   1. Set the probes that count calls, load the module, wait for the transition to end, check that
      the patch is enabled.
   2. Run each script (phase ``patched``): the new code.  Its exit status must be 0.
   3. Disable the patch, wait for the transition back, unload the module if it does not stay in
      memory.

4. Run each script (phase ``reverted``): the old code again.
5. Look through the kernel log.  Between rounds that is done too: a round that failed, or in which
   the kernel complained, is the last one.

A failure in the guest is a finding about the patch and is reported, not raised.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from suture.errors import (
    LAB_DEADLINE,
    LAB_SCRIPT_FAILED,
    LAB_STAYS_IN_MEMORY,
    Refusal,
)
from suture.host import progress
from suture.kernel.release import Target, names_kernel
from suture.lab import hits, scripts, workload
from suture.lab.guest_patch import TRANSITION_DEADLINE, GuestPatch, ModuleNeeds
from suture.lab.machine import EVIDENCE_LINES, Machine
from suture.lab.qemu import Accelerator
from suture.lab.results import (
    PATCHING,
    UNPATCHING,
    CallCount,
    LabStep,
    ScriptPhase,
    ScriptRun,
    TestReport,
)
from suture.lab.scripts import SCRIPT_DEADLINE, GuestScript
from suture.model import LivePatch

MODULE = "/lab/livepatch.ko"


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """What a test does with a live patch.

    :ivar scripts: each is run in each phase, in this order.
    :ivar script_deadline: seconds for each run of a script.
    :ivar transition_deadline: seconds for each transition.
    :ivar rounds: how often the patch is loaded and unloaded.
    :ivar workload: keep the guest busy meanwhile (`suture.lab.workload`).
    """

    scripts: tuple[GuestScript, ...] = ()
    script_deadline: float = SCRIPT_DEADLINE
    transition_deadline: float = TRANSITION_DEADLINE
    rounds: int = 1
    workload: bool = False


@names_kernel
def try_out(
    target: Target,
    module: bytes,
    patch: LivePatch,
    plan: TrialPlan | None = None,
    *,
    accelerator: Accelerator | None = None,
) -> TestReport:
    """Boot `target`, and load, test and unload the live patch `module`.

    :param patch: what `module` holds, as `suture.module.inspect` reads it.
    :raises Refusal: ``lab-boot-failed``, ``tool-missing``, ``module-not-found``,
        ``module-malformed``, ``lab-stays-in-memory``
    """
    plan = plan or TrialPlan()
    if patch.stays and plan.rounds > 1:
        found = f"it cannot be loaded {plan.rounds} times in one boot"
        raise Refusal(LAB_STAYS_IN_MEMORY, patch.name, found)
    needs = ModuleNeeds.of(module, patch)
    files = {MODULE: module, **scripts.guest_files(plan.scripts)}
    files |= workload.guest_files() if plan.workload else {}
    started = time.monotonic()
    with Machine.boot(
        target, modules=needs.modules, files=files, accelerator=accelerator
    ) as machine:
        log_from = len(machine.kernel_log().splitlines())
        guest = GuestPatch(machine, needs.name, MODULE, log_from, plan.transition_deadline)
        run = _Run(machine, guest, patch, plan)
        run.steps.append(LabStep("boot", time.monotonic() - started, log=(0, log_from)))
        failure = None
        try:
            _life(run, needs)
        except Refusal as refusal:
            failure = refusal
        return TestReport(
            release=target.release,
            accelerator=machine.accelerator.value,
            patch=needs.name,
            steps=tuple(run.steps),
            scripts=tuple(run.scripts),
            counts=tuple(run.counts),
            complaints=machine.complaints(),
            failure=failure or run.first_failure(),
            findings=patch.findings,
            rounds=plan.rounds,
            rounds_done=run.rounds_done,
            workload=plan.workload,
        )


@dataclass(slots=True)
class _Failing:
    """What a step that came to its end found wrong."""

    refusal: Refusal | None = None


@dataclass(slots=True)
class _Run:
    """One run that is under way, and its results so far.

    :ivar in_round: one of many rounds is under way, which is shown as one step.
    """

    machine: Machine
    guest: GuestPatch
    patch: LivePatch
    plan: TrialPlan
    steps: list[LabStep] = field(default_factory=list)
    scripts: list[ScriptRun] = field(default_factory=list)
    counts: list[CallCount] = field(default_factory=list)
    round: int = 1
    rounds_done: int = 0
    in_round: bool = False

    @property
    def new_names(self) -> list[str]:
        """The names of all replacing functions."""
        return [function.new_name for item in self.patch.objects for function in item.functions]

    @contextmanager
    def step(self, name: str, what: str, script: str = "") -> Iterator[_Failing]:
        """Report that the block is under way, and record how long it took and what failed."""
        started, log_from = time.monotonic(), self.machine.lines_logged()
        failing = _Failing()
        try:
            with nullcontext() if self.in_round else progress.step(what, script or self.guest.name):
                yield failing
        except Refusal as refusal:
            failing.refusal = refusal
            raise
        finally:
            log = (log_from, self.machine.lines_logged())
            seconds = time.monotonic() - started
            self.steps.append(LabStep(name, seconds, script, self.round, failing.refusal, log))

    def first_failure(self) -> Refusal | None:
        """Return the first failure of a step that came to its end."""
        return next((step.failure for step in self.steps if step.failure is not None), None)


def _life(run: _Run, needs: ModuleNeeds) -> None:
    if needs.modules:
        with run.step("modules", "Loading the modules that it needs"):
            run.guest.prepare(needs.modules)
    _scripts(run, ScriptPhase.BEFORE)
    with workload.under_way(run.machine) if run.plan.workload else nullcontext():
        for number in range(1, run.plan.rounds + 1):
            run.round = number
            _round(run)
            if run.first_failure() is None and not run.machine.complaints():
                run.rounds_done = number
            elif run.plan.rounds > 1:
                return
        if run.plan.workload:
            with run.step("workload", "Looking whether the workload still runs"):
                workload.look(run.machine)
    _scripts(run, ScriptPhase.REVERTED)


def _round(run: _Run) -> None:
    if run.plan.rounds == 1:
        _load_and_unload(run)
        return
    with progress.step(f"Round {run.round} of {run.plan.rounds}"):
        run.in_round = True
        try:
            _load_and_unload(run)
        finally:
            run.in_round = False


def _load_and_unload(run: _Run) -> None:
    earlier = run.counts
    hits.arm(run.machine, run.guest.name, run.new_names)
    with run.step("load", "Loading the live patch"):
        run.guest.load()
    with run.step(PATCHING, "Waiting for all tasks to run the new code"):
        run.guest.wait_until_in_force()
    _scripts(run, ScriptPhase.PATCHED)
    if not run.in_round:
        run.counts = _added(earlier, _counts(run))  # in case that it never ends
    with run.step(UNPATCHING, "Waiting for all tasks to run the old code"):
        run.guest.disable()
    run.counts = _added(earlier, _counts(run))
    hits.disarm(run.machine)
    if not run.patch.stays:
        with run.step("unload", "Unloading the live patch"):
            run.guest.unload()


def _scripts(run: _Run, phase: ScriptPhase) -> None:
    """Run all scripts, whatever becomes of each."""
    for number, script in enumerate(run.plan.scripts):
        what = f"Running the script ({phase.value})"
        with run.step(f"script {phase.value}", what, script.name) as step:
            done = scripts.run(
                run.machine,
                script,
                number,
                phase=phase,
                round_number=run.round,
                deadline=run.plan.script_deadline,
            )
            run.scripts.append(done)
            step.refusal = _wrong_with(done, run.plan.script_deadline)


def _wrong_with(script: ScriptRun, deadline: float) -> Refusal | None:
    """Return the refusal of a script that never ended, or that failed on the new code; on the old
    code it may fail, which is why there is a patch."""
    evidence = script.output.splitlines()[-EVIDENCE_LINES:]
    if script.late:
        found = f"it was ended after {deadline:g} s ({script.phase.value})"
        return Refusal(
            LAB_DEADLINE,
            script.name,
            found,
            why="A script has to end by itself; the last lines of its output are shown.",
            remedy="Allow it more time (--script-deadline), or find out what it waits for.",
            evidence=evidence,
        )
    if script.phase is ScriptPhase.PATCHED and script.status != 0:
        found = f"it exited with status {script.status} while the patch was in force"
        return Refusal(LAB_SCRIPT_FAILED, script.name, found, evidence=evidence)
    return None


def _counts(run: _Run) -> list[CallCount]:
    functions = [(item.name, function) for item in run.patch.objects for function in item.functions]
    calls = hits.read(run.machine, run.guest.name, run.new_names)
    return [
        CallCount(objname, function.old_name, function.new_name, number)
        for (objname, function), number in zip(functions, calls, strict=True)
    ]


def _added(earlier: Sequence[CallCount], counts: Sequence[CallCount]) -> list[CallCount]:
    """Return the calls of the rounds so far; not counted are those that one round could not
    count."""
    if not earlier:
        return list(counts)
    return [
        CallCount(
            now.objname,
            now.function,
            now.new_name,
            None if before.calls is None or now.calls is None else before.calls + now.calls,
        )
        for before, now in zip(earlier, counts, strict=True)
    ]
