# SPDX-License-Identifier: GPL-2.0-or-later
"""Results of tests in the XML form of JUnit, which CI servers read.

The form has no standard.  What is written here is what Jenkins, GitLab and GitHub's actions
understand: a ``testsuite`` for each module and its kernel, in it a ``testcase`` for each step and
each run of a script.  A step that failed, or in which the kernel complained, has a ``failure``; a
module that could not be tested, an ``error``.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from suture.errors import Refusal
from suture.host.terminal import printable
from suture.lab.complaints import Complaint
from suture.lab.results import LabStep, ScriptRun, TestReport, TrialOutcome


def document(outcomes: Sequence[TrialOutcome]) -> bytes:
    """Return the document of all tests."""
    root = Element("testsuites", name="suture test")
    for outcome in outcomes:
        if outcome.report is not None:
            _suite(root, outcome.module, outcome.report)
        elif outcome.refusal is not None:
            _not_tested(root, outcome.module, outcome.refusal)
    suites = root.findall("testsuite")
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in suites)))
    root.set("time", f"{sum(float(suite.get('time', '0')) for suite in suites):.3f}")
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _suite(root: Element, module: str, report: TestReport) -> None:
    suite = SubElement(root, "testsuite", name=f"{report.patch} on {report.release}")
    facts = {"module": module, "kernel": report.release, "accelerator": report.accelerator}
    _properties(suite, facts)
    scripts = list(report.scripts)
    for step in report.steps:
        # A step of a script whose guest died has no run.
        run = next((one for one in scripts if _is_of(one, step)), None)
        _case(suite, report, step, run)
    _rest(suite, report)
    _count(suite, report.seconds)


def _not_tested(root: Element, module: str, refusal: Refusal) -> None:
    suite = SubElement(root, "testsuite", name=module)
    _properties(suite, {"module": module})
    case = _new_case(suite, module, "test", 0)
    _add(case, "error", refusal.code, refusal.found, str(refusal))
    _count(suite, 0)


def _case(suite: Element, report: TestReport, step: LabStep, run: ScriptRun | None) -> None:
    """Add the case of one step: ``script patched: check.sh``, in rounds ``round 3: load``."""
    name = f"{step.name}: {step.script}" if step.script else step.name
    in_round = report.rounds > 1 and name not in ("boot", "modules")
    case = _new_case(
        suite, _class(report), f"round {step.round}: {name}" if in_round else name, step.seconds
    )
    complaints = report.complaints_in(step)
    if step.failure is not None:
        _add(case, "failure", step.failure.code, step.failure.found, str(step.failure))
    elif complaints:
        _complain(case, complaints)
    if run is not None and run.output:
        SubElement(case, "system-out").text = printable(run.output)


def _rest(suite: Element, report: TestReport) -> None:
    """Add the case of what went wrong in no step."""
    outside = [one for one in report.complaints if report.during(one) is None]
    failed = [step.failure for step in report.steps]
    if outside or (report.failure is not None and report.failure not in failed):
        case = _new_case(suite, _class(report), "guest", 0)
        if report.failure is not None and report.failure not in failed:
            _add(case, "failure", report.failure.code, report.failure.found, str(report.failure))
        else:
            _complain(case, outside)


def _complain(case: Element, complaints: Sequence[Complaint]) -> None:
    lines = "\n".join(line for one in complaints for line in one.lines)
    what = ", ".join(one.what for one in complaints)
    _add(case, "failure", "kernel-complaint", f"the kernel complained: {what}", lines)


def _is_of(run: ScriptRun, step: LabStep) -> bool:
    return (f"script {run.phase.value}", run.name, run.round) == (
        step.name,
        step.script,
        step.round,
    )


def _class(report: TestReport) -> str:
    """Return the name under which servers group cases; they split it at its dots."""
    return f"{report.release.replace('.', '_')}.{report.patch}"


def _new_case(suite: Element, class_name: str, name: str, seconds: float) -> Element:
    attributes = {"classname": printable(class_name), "name": printable(name)}
    return SubElement(suite, "testcase", {**attributes, "time": f"{seconds:.3f}"})


def _add(case: Element, tag: str, kind: str, message: str, text: str) -> None:
    # XML 1.0 cannot say most control characters at all.
    SubElement(case, tag, {"type": kind, "message": printable(message)}).text = printable(text)


def _properties(suite: Element, facts: dict[str, str]) -> None:
    properties = SubElement(suite, "properties")
    for name, value in facts.items():
        SubElement(properties, "property", name=name, value=printable(value))


def _count(suite: Element, seconds: float) -> None:
    suite.set("tests", str(len(suite.findall("testcase"))))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", str(len(suite.findall("testcase/error"))))
    suite.set("skipped", "0")
    suite.set("time", f"{seconds:.3f}")
