# SPDX-License-Identifier: GPL-2.0-or-later
"""Results in JUnit's form, as an XML parser reads them."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from suture.errors import LAB_GUEST_DIED, LAB_SCRIPT_FAILED, WRONG_RELEASE, Refusal
from suture.lab import junit
from suture.lab.complaints import Complaint
from suture.lab.results import (
    LabStep,
    ScriptPhase,
    ScriptRun,
    TestReport,
    TransitionTimes,
    TrialOutcome,
)

FAILED = Refusal(LAB_SCRIPT_FAILED, "b.sh", "it exited with status 3", evidence=["a\0b <&>"])
REPORT = TestReport(
    release="6.1.0-9-amd64",
    accelerator="tcg",
    patch="livepatch_fix",
    steps=(
        LabStep("boot", 4.0, log=(0, 100)),
        LabStep("script before", 0.5, "a.sh", log=(100, 101)),
        LabStep("load", 0.25, log=(101, 110)),
        LabStep("script patched", 0.5, "a.sh", log=(110, 120)),
        LabStep("script patched", 0.5, "b.sh", failure=FAILED, log=(120, 120)),
    ),
    scripts=(
        ScriptRun(ScriptPhase.BEFORE, 1, "old\x1b[1m\n", "a.sh"),
        ScriptRun(ScriptPhase.PATCHED, 0, "new\n", "a.sh"),
        ScriptRun(ScriptPhase.PATCHED, 3, "", "b.sh"),
    ),
    counts=(),
    complaints=(Complaint("WARNING", ("WARNING: x", "y"), 112),),
    failure=FAILED,
)


def read(*outcomes: TrialOutcome) -> Element:
    return ElementTree.fromstring(junit.document(outcomes))


def case(root: Element, name: str) -> Element:
    (found,) = [one for one in root.iter("testcase") if one.get("name") == name]
    return found


def failures(root: Element) -> list[tuple[str, str]]:
    return [
        (one.get("name", ""), bad.get("type", ""))
        for one in root.iter("testcase")
        for bad in one.findall("failure")
    ]


def test_each_step_and_each_script_of_a_kernel_is_a_case() -> None:
    root = read(TrialOutcome("fix.ko", REPORT))
    (suite,) = root
    assert suite.get("name") == "livepatch_fix on 6.1.0-9-amd64"
    assert [(one.get("name"), one.get("time")) for one in suite.iter("testcase")] == [
        ("boot", "4.000"),
        ("script before: a.sh", "0.500"),
        ("load", "0.250"),
        ("script patched: a.sh", "0.500"),
        ("script patched: b.sh", "0.500"),
    ]
    assert {one.get("classname") for one in suite.iter("testcase")} == {
        "6_1_0-9-amd64.livepatch_fix"
    }
    counted = {name: suite.get(name) for name in ("tests", "failures", "errors", "time")}
    assert counted == {"tests": "5", "failures": "2", "errors": "0", "time": "5.750"}
    assert {name: root.get(name) for name in counted} == counted


def test_a_failure_stands_where_it_happened_and_says_why() -> None:
    root = read(TrialOutcome("fix.ko", REPORT))
    assert failures(root) == [
        ("script patched: a.sh", "kernel-complaint"),
        ("script patched: b.sh", "lab-script-failed"),
    ]
    complained = case(root, "script patched: a.sh").find("failure")
    assert complained is not None
    assert complained.text == "WARNING: x\ny"
    failed = case(root, "script patched: b.sh").find("failure")
    assert failed is not None
    assert failed.get("message") == "it exited with status 3"
    assert r"a\x00b <&>" in (failed.text or "")


def test_output_stands_by_its_script_without_what_xml_cannot_say() -> None:
    root = read(TrialOutcome("fix.ko", REPORT))
    assert case(root, "script before: a.sh").findtext("system-out") == "old\\x1b[1m\n"
    assert case(root, "script patched: b.sh").find("system-out") is None


def test_what_happened_in_no_step_has_a_case_too() -> None:
    died = Refusal(LAB_GUEST_DIED, "6.1.0-9-amd64", "the virtual machine ended")
    outside = replace(REPORT, failure=died, complaints=(Complaint("BUG", ("BUG: z",), 500),))
    assert ("guest", "lab-guest-died") in failures(read(TrialOutcome("fix.ko", outside)))
    late = replace(REPORT, complaints=(Complaint("BUG", ("BUG: z",), 500),))
    assert ("guest", "kernel-complaint") in failures(read(TrialOutcome("fix.ko", late)))


def test_cases_of_many_rounds_name_the_round() -> None:
    steps = (LabStep("boot", 1), LabStep("load", 1, round=1), LabStep("load", 1, round=2))
    rounds = replace(REPORT, steps=steps, scripts=(), complaints=(), failure=None, rounds=2)
    root = read(TrialOutcome("fix.ko", rounds))
    assert [one.get("name") for one in root.iter("testcase")] == [
        "boot",
        "round 1: load",
        "round 2: load",
    ]


def test_a_module_that_could_not_be_tested_is_an_error() -> None:
    refusal = Refusal(WRONG_RELEASE, "fix.ko", "it is for 6.1, not for 6.12")
    root = read(TrialOutcome("good.ko", REPORT), TrialOutcome("fix.ko", None, refusal))
    assert (root.get("tests"), root.get("errors")) == ("6", "1")
    error = root.find("testsuite[@name='fix.ko']/testcase/error")
    assert error is not None
    assert error.get("type") == "wrong-release"


def test_transition_times_are_those_of_steps_that_ended() -> None:
    stalled = Refusal(LAB_GUEST_DIED, "x", "y")
    steps = tuple(LabStep("patch", seconds) for seconds in (1.0, 4.0, 2.0))
    report = replace(REPORT, steps=(*steps, LabStep("patch", 60.0, failure=stalled)))
    assert report.transitions("patch") == TransitionTimes(1.0, 2.0, 4.0)
    assert report.transitions("unpatch") is None
    assert report.as_dict()["rounds"] == {
        "wanted": 1,
        "done": 0,
        "workload": False,
        "transitions": {"patch": {"min": 1.0, "median": 2.0, "max": 4.0}, "unpatch": None},
    }
