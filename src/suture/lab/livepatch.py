# SPDX-License-Identifier: GPL-2.0-or-later
"""A test of a live patch module in the lab, from boot to unload.

1. Boot the target; load the modules that the patch changes or needs.
2. Run the script (phase ``before``): the old code.
3. Set the probes that count calls, load the module, wait for the transition to end, check that the
   patch is enabled.
4. Run the script (phase ``patched``): the new code.  Its exit status must be 0.
5. Disable the patch, wait for the transition back, unload the module if it does not stay in
   memory.
6. Run the script (phase ``reverted``): the old code again.
7. Look through the kernel log.

A failure in the guest is a finding about the patch and is reported, not raised.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from suture.core.livepatch import DIRECTORY
from suture.errors import (
    LAB_LOAD_FAILED,
    LAB_NOT_ENABLED,
    LAB_PREPARE_FAILED,
    LAB_SCRIPT_FAILED,
    LAB_TRANSITION_STALLED,
    LAB_UNLOAD_FAILED,
    Kind,
    Refusal,
)
from suture.host import progress
from suture.kernel import modules
from suture.kernel.release import Target, names_kernel
from suture.lab import hits
from suture.lab.complaints import Complaint
from suture.lab.machine import EVIDENCE_LINES, CommandResult, Machine
from suture.lab.qemu import Accelerator
from suture.model import VMLINUX, LivePatch, RecordedFinding

SYSFS = f"/{DIRECTORY}"
MODULE = "/lab/livepatch.ko"
SCRIPT = "/lab/script"

POLL = 0.1
TRANSITION_DEADLINE = 60.0
SCRIPT_DEADLINE = 60.0

STALLED = f"""for task in /proc/[0-9]*/task/[0-9]*; do
    [ "$(cat "$task/patch_state")" = "$behind" ] &&
        echo "${{task##*/}} $(cat "$task/comm")" && cat "$task/stack"
done 2>/dev/null | head -n {EVIDENCE_LINES}"""
"""Show the tasks whose ``patch_state`` is `$behind`, with their stacks
(``Documentation/livepatch/livepatch.rst``)."""


UNLOAD = """for try in 1 2 3 4 5 6 7 8 9 10; do
    rmmod {name} && exit
    sleep 0.2
done 2>/run/reason; cat /run/reason; exit 1"""
"""The core drops its hold on the module a moment after the directory is gone
(klp_free_patch_finish())."""


class ScriptPhase(StrEnum):
    """The time at which the script runs."""

    BEFORE = "before"
    PATCHED = "patched"
    REVERTED = "reverted"


@dataclass(frozen=True, slots=True)
class LabStep:
    """One step of a test, with its duration."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ScriptRun:
    """One run of the script."""

    phase: ScriptPhase
    status: int
    output: str


@dataclass(frozen=True, slots=True)
class CallCount:
    """How often the new code of one function ran while it was in force.

    :ivar calls: None if calls cannot be counted.
    """

    objname: str
    function: str
    new_name: str
    calls: int | None


@dataclass(frozen=True, slots=True)
class TestReport:
    """What came of it.

    :ivar failure: the first thing that stopped the run or made it fail, other than `complaints`.
    :ivar findings: the findings that the module records; they do not decide about the result.
    """

    __test__ = False  # not a test class of pytest's

    release: str
    accelerator: str
    patch: str
    steps: tuple[LabStep, ...]
    scripts: tuple[ScriptRun, ...]
    counts: tuple[CallCount, ...]
    complaints: tuple[Complaint, ...]
    failure: Refusal | None
    findings: tuple[RecordedFinding, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing failed and the kernel did not complain."""
        return self.failure is None and not self.complaints

    def as_dict(self) -> dict[str, object]:
        """Return the report as ``--json`` prints it."""
        return {
            "passed": self.passed,
            "release": self.release,
            "accelerator": self.accelerator,
            "patch": self.patch,
            "steps": [
                {"name": step.name, "seconds": round(step.seconds, 3)} for step in self.steps
            ],
            "scripts": [
                {"phase": run.phase.value, "status": run.status, "output": run.output}
                for run in self.scripts
            ],
            "functions": [
                {
                    "object": c.objname,
                    "function": c.function,
                    "new_name": c.new_name,
                    "calls": c.calls,
                }
                for c in self.counts
            ],
            "complaints": [
                {"what": complaint.what, "lines": complaint.lines} for complaint in self.complaints
            ],
            "findings": [asdict(finding) for finding in self.findings],
            "failure": None if self.failure is None else self.failure.as_dict(),
        }


@names_kernel
def try_out(
    target: Target,
    module: bytes,
    patch: LivePatch,
    *,
    script: bytes | None = None,
    script_deadline: float = SCRIPT_DEADLINE,
    transition_deadline: float = TRANSITION_DEADLINE,
    accelerator: Accelerator | None = None,
) -> TestReport:
    """Boot `target`, and load, test and unload the live patch `module`.

    :param patch: what `module` holds, as `suture.module.inspect` reads it.
    :param script: for busybox's ``sh``; gets the phase in ``$phase``.
    :param script_deadline: seconds for each run of the script.
    :param transition_deadline: seconds for each of the two transitions.
    :raises Refusal: ``lab-boot-failed``, ``tool-missing``, ``module-not-found``,
        ``module-malformed``
    """
    info = dict(modules.modinfo(module, patch.name))
    wanted = [item.name for item in patch.objects if item.name != VMLINUX]
    wanted += [name for name in info.get("depends", "").split(",") if name and name not in wanted]
    files = {MODULE: module, SCRIPT: script or b""}
    started = time.monotonic()
    with Machine.boot(target, modules=wanted, files=files, accelerator=accelerator) as machine:
        log_at_boot = len(machine.kernel_log().splitlines())
        run = _Run(machine, info.get("name", patch.name), patch, transition_deadline, log_at_boot)
        run.steps.append(LabStep("boot", time.monotonic() - started))
        failure = None
        try:
            _life(run, wanted, script_deadline if script is not None else None)
        except Refusal as refusal:
            failure = refusal
        return TestReport(
            release=target.release,
            accelerator=machine.accelerator.value,
            patch=run.name,
            steps=tuple(run.steps),
            scripts=tuple(run.scripts),
            counts=tuple(run.counts),
            complaints=machine.complaints(),
            failure=failure or _failed_script(run.scripts),
            findings=patch.findings,
        )


@dataclass(slots=True)
class _Run:
    """One run that is under way, and its results so far."""

    machine: Machine
    name: str
    patch: LivePatch
    transition_deadline: float
    log_at_boot: int
    steps: list[LabStep] = field(default_factory=list)
    scripts: list[ScriptRun] = field(default_factory=list)
    counts: list[CallCount] = field(default_factory=list)

    @property
    def sysfs(self) -> str:
        """The directory of the live patch in the guest."""
        return f"{SYSFS}/{self.name}"

    @property
    def new_names(self) -> list[str]:
        """The names of all replacing functions."""
        return [function.new_name for item in self.patch.objects for function in item.functions]

    @contextmanager
    def step(self, name: str, what: str) -> Iterator[None]:
        """Report that the block is under way, and record how long it took."""
        started = time.monotonic()
        with progress.step(what, self.name):
            try:
                yield
            finally:
                self.steps.append(LabStep(name, time.monotonic() - started))


def _life(run: _Run, wanted: list[str], script_deadline: float | None) -> None:
    machine = run.machine
    for name in wanted:
        _check(run, machine.run(f"modprobe {name}"), LAB_PREPARE_FAILED, f"loading {name}")
    _script(run, ScriptPhase.BEFORE, script_deadline)
    hits.arm(machine, run.name, run.new_names)
    with run.step("load", "Loading the live patch"):
        _check(run, machine.run(f"insmod {MODULE}"), LAB_LOAD_FAILED, "loading it")
    with run.step("patch", "Waiting for all tasks to run the new code"):
        _wait(run, lambda: not _is_known(run) or _read(run, "transition") == "0", "0")
    if not _is_known(run) or _read(run, "enabled") != "1":
        raise _refusal(run, LAB_NOT_ENABLED, "it is loaded but not enabled")
    _script(run, ScriptPhase.PATCHED, script_deadline)
    run.counts = _counts(run)
    with run.step("unpatch", "Waiting for all tasks to run the old code"):
        _check(run, machine.run(f"echo 0 >{run.sysfs}/enabled"), LAB_UNLOAD_FAILED, "disabling it")
        # The core removes the directory when the last task has left the new code.
        _wait(run, lambda: not _is_known(run), "1")
    run.counts = _counts(run)
    hits.disarm(machine)
    if not run.patch.stays:
        with run.step("unload", "Unloading the live patch"):
            unloaded = machine.run(UNLOAD.format(name=run.name))
            _check(run, unloaded, LAB_UNLOAD_FAILED, "unloading it")
    _script(run, ScriptPhase.REVERTED, script_deadline)


def _script(run: _Run, phase: ScriptPhase, deadline: float | None) -> None:
    if deadline is None:
        return
    with run.step(f"script {phase.value}", f"Running the script ({phase.value})"):
        result = run.machine.run(f"phase={phase.value} sh {SCRIPT}", deadline=deadline)
    run.scripts.append(ScriptRun(phase, result.status, result.text))


def _failed_script(scripts: list[ScriptRun]) -> Refusal | None:
    """Return the refusal of a script that failed on the new code; on the old code it may fail,
    which is why there is a patch."""
    for script in scripts:
        if script.phase is ScriptPhase.PATCHED and script.status != 0:
            found = f"it exited with status {script.status} while the patch was in force"
            return Refusal(
                LAB_SCRIPT_FAILED,
                "script",
                found,
                evidence=script.output.splitlines()[-EVIDENCE_LINES:],
            )
    return None


def _counts(run: _Run) -> list[CallCount]:
    functions = [(item.name, function) for item in run.patch.objects for function in item.functions]
    calls = hits.read(run.machine, run.name, run.new_names)
    return [
        CallCount(objname, function.old_name, function.new_name, number)
        for (objname, function), number in zip(functions, calls, strict=True)
    ]


def _is_known(run: _Run) -> bool:
    """Tell whether the core has the live patch."""
    return run.machine.run(f"[ -e {run.sysfs} ]").status == 0


def _read(run: _Run, attribute: str) -> str:
    return run.machine.run(f"cat {run.sysfs}/{attribute}").text.strip()


def _wait(run: _Run, done: Callable[[], bool], behind: str) -> None:
    """Poll until `done`; at the deadline, show the tasks whose patch state is still `behind`."""
    until = time.monotonic() + run.transition_deadline
    while not done():
        if time.monotonic() > until:
            stalled = run.machine.run(f"behind={behind}\n{STALLED}").text.splitlines()
            found = f"the transition did not end in {run.transition_deadline:g} s"
            raise Refusal(LAB_TRANSITION_STALLED, run.name, found, evidence=stalled)
        time.sleep(POLL)


def _check(run: _Run, result: CommandResult, kind: Kind, doing: str) -> None:
    if result.status != 0:
        said = result.text.splitlines()
        raise _refusal(run, kind, f"{doing} failed with status {result.status}", *said)


def _refusal(run: _Run, kind: Kind, found: str, *said: str) -> Refusal:
    log = run.machine.kernel_log().splitlines()[run.log_at_boot :]
    return Refusal(kind, run.name, found, evidence=[*said, *log[-EVIDENCE_LINES:]])
