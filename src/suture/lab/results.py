# SPDX-License-Identifier: GPL-2.0-or-later
"""The result of a test in the lab, as values."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from suture.errors import Refusal
from suture.lab.complaints import Complaint
from suture.model import RecordedFinding

PATCHING, UNPATCHING = "patch", "unpatch"
"""The names of the steps that wait for a transition."""


class ScriptPhase(StrEnum):
    """The time at which a script runs."""

    BEFORE = "before"
    PATCHED = "patched"
    REVERTED = "reverted"


@dataclass(frozen=True, slots=True)
class LabStep:
    """One step of a test, with its duration.

    :ivar script: the name of the script that ran, or "".
    :ivar round: the number of the round, from 1 on.
    :ivar failure: what made the test fail in this step.
    :ivar log: the numbers of the first line of the kernel log in this step, and of the first line
        after it.
    """

    name: str
    seconds: float
    script: str = ""
    round: int = 1
    failure: Refusal | None = None
    log: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class ScriptRun:
    """One run of a script.

    :ivar late: it was ended at its deadline.
    """

    phase: ScriptPhase
    status: int
    output: str
    name: str = "script"
    round: int = 1
    late: bool = False


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
class TransitionTimes:
    """The shortest, the median and the longest of several transitions, in seconds."""

    min: float
    median: float
    max: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> TransitionTimes | None:
        """Return the times of these transitions; None if there are none."""
        if not seconds:
            return None
        return cls(min(seconds), statistics.median(seconds), max(seconds))


@dataclass(frozen=True, slots=True)
class TestReport:
    """What came of it.

    :ivar failure: the first thing that stopped the run or made it fail, other than `complaints`.
    :ivar findings: the findings that the module records; they do not decide about the result.
    :ivar rounds: how many rounds were asked for.
    :ivar rounds_done: how many came to their end without a failure or a complaint.
    :ivar workload: the guest was kept busy meanwhile.
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
    rounds: int = 1
    rounds_done: int = 0
    workload: bool = False

    @property
    def passed(self) -> bool:
        """Whether nothing failed and the kernel did not complain."""
        return self.failure is None and not self.complaints

    @property
    def seconds(self) -> float:
        """How long all steps took."""
        return sum(step.seconds for step in self.steps)

    @property
    def failures(self) -> tuple[Refusal, ...]:
        """Everything that failed, in order; several scripts may."""
        found = [step.failure for step in self.steps if step.failure is not None]
        if self.failure is not None and self.failure not in found:
            found.append(self.failure)
        return tuple(found)

    def transitions(self, name: str) -> TransitionTimes | None:
        """Return the times of all transitions in one direction that came to their end.

        :param name: `PATCHING` or `UNPATCHING`.
        """
        return TransitionTimes.of(
            [step.seconds for step in self.steps if step.name == name and step.failure is None]
        )

    def complaints_in(self, step: LabStep) -> tuple[Complaint, ...]:
        """Return the complaints that the kernel made during a step."""
        first, end = step.log
        return tuple(one for one in self.complaints if first <= one.line < end)

    def during(self, complaint: Complaint) -> LabStep | None:
        """Return the step in which the kernel made a complaint; None if it was in no step."""
        return next((one for one in self.steps if complaint in self.complaints_in(one)), None)

    def as_dict(self) -> dict[str, object]:
        """Return the report as ``--json`` prints it."""
        return {
            "passed": self.passed,
            "release": self.release,
            "accelerator": self.accelerator,
            "patch": self.patch,
            "steps": [_step(step) for step in self.steps],
            "scripts": [_script(run) for run in self.scripts],
            "rounds": {
                "wanted": self.rounds,
                "done": self.rounds_done,
                "workload": self.workload,
                "transitions": {
                    name: _rounded(self.transitions(name)) for name in (PATCHING, UNPATCHING)
                },
            },
            "functions": [
                {
                    "object": c.objname,
                    "function": c.function,
                    "new_name": c.new_name,
                    "calls": c.calls,
                }
                for c in self.counts
            ],
            "complaints": [self._complaint(complaint) for complaint in self.complaints],
            "findings": [asdict(finding) for finding in self.findings],
            "failure": None if self.failure is None else self.failure.as_dict(),
        }

    def _complaint(self, complaint: Complaint) -> dict[str, object]:
        step = self.during(complaint)
        return {
            "what": complaint.what,
            "lines": complaint.lines,
            "during": None if step is None else step.name,
            "script": None if step is None else step.script or None,
            "round": None if step is None else step.round,
        }


def _step(step: LabStep) -> dict[str, object]:
    return {
        "name": step.name,
        "seconds": round(step.seconds, 3),
        "script": step.script or None,
        "round": step.round,
        "failure": None if step.failure is None else step.failure.code,
    }


def _script(run: ScriptRun) -> dict[str, object]:
    return {
        "name": run.name,
        "phase": run.phase.value,
        "round": run.round,
        "status": run.status,
        "late": run.late,
        "output": run.output,
    }


def _rounded(times: TransitionTimes | None) -> dict[str, float] | None:
    if times is None:
        return None
    return {name: round(seconds, 3) for name, seconds in asdict(times).items()}


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """What came of the test of one module file.

    :ivar module: its path.
    :ivar report: None if it could not be tested.
    :ivar refusal: why it could not be tested.
    """

    module: str
    report: TestReport | None
    refusal: Refusal | None = None

    @property
    def passed(self) -> bool:
        """Whether it was tested and nothing was wrong."""
        return self.report is not None and self.report.passed

    def as_dict(self) -> dict[str, object]:
        """Return it as ``--json`` prints it for several modules."""
        return {
            "module": self.module,
            "passed": self.passed,
            "test": None if self.report is None else self.report.as_dict(),
            "error": None if self.refusal is None else self.refusal.as_dict(),
        }
