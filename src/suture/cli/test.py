# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture test``"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from suture.cli import completion
from suture.cli.commands import PATH, Number, Seconds, argument, command, option
from suture.cli.output import Human, emit, in_parts, json_option, table
from suture.cli.reports import numbered, of_test, report_option
from suture.cli.target import chosen, kernel_dir_option, module_kernel_option
from suture.errors import Refusal
from suture.host.terminal import printable

if TYPE_CHECKING:
    from suture.lab.livepatch import TrialPlan
    from suture.lab.results import ScriptRun, TestReport, TransitionTimes, TrialOutcome
    from suture.lab.scripts import GuestScript

EXAMPLES = (
    (
        "suture test fix.ko",
        "check that it loads, takes effect and unloads without complaints",
    ),
    (
        "suture test fix.ko --script check.sh --script again.sh",
        "run both scripts before, with and after the patch, with $phase set, in one boot",
    ),
    (
        "suture test *.ko --script check.sh --junit result.xml",
        "test several live patches, each on its own kernel, and write results for a CI server",
    ),
    (
        "suture test fix.ko --rounds 50 --workload",
        "load and unload it 50 times while the guest is kept busy",
    ),
    (
        "suture test fix.ko --report fix.html",
        "add the result to the report that 'suture build' wrote",
    ),
)


@command("test", examples=EXAMPLES)
@argument(
    "modules",
    metavar="FILE.ko",
    type=PATH,
    nargs=-1,
    required=True,
    shell_complete=completion.modules,
    help="Live patch modules, from any build tool. Each is tested in a boot of its own.",
)
@module_kernel_option
@kernel_dir_option
@option(
    "--script",
    metavar="FILE",
    type=PATH,
    multiple=True,
    help="Run this busybox sh script in the guest with $phase set to before, patched and "
    "reverted; it must exit with 0 while the patch is in force. Repeatable: each has its "
    "own result.",
)
@option(
    "--script-deadline",
    metavar="SECONDS",
    type=Seconds(min=0.1),
    default=60.0,
    help="Limit for each script run.",
)
@option(
    "--transition-deadline",
    metavar="SECONDS",
    type=Seconds(min=0.1),
    default=60.0,
    help="Limit for each transition.",
)
@option(
    "--rounds",
    metavar="N",
    type=Number(min=1),
    default=1,
    help="Load and unload it N times in one boot; the first round that fails, or in which "
    "the kernel complains, is the last.",
)
@option(
    "--workload",
    is_flag=True,
    help="Keep the guest busy meanwhile: processes, files, mounts, /proc, connections.",
)
@option(
    "--junit",
    metavar="OUT.xml",
    type=PATH,
    help="Write the results in JUnit's XML form: a test case for each step and each script run.",
)
@report_option
@json_option
def test(
    modules: tuple[Path, ...],
    kernel: str | None,
    kernel_dir: Path | None,
    script: tuple[Path, ...],
    script_deadline: float,
    transition_deadline: float,
    rounds: int,
    workload: bool,
    junit: Path | None,
    report: Path | None,
) -> None:
    """Boot the target in a throwaway virtual machine, and load and unload a live patch there.

    The target is the kernel that the module is for, unless --kernel-dir names a tree of it. With
    several modules, each is tested whatever became of the others.

    The test fails if the module does not load or unload, a transition does not end, a script
    fails on the new code, or the guest's kernel log shows any WARNING, BUG, Oops, stall or hung
    task. The report shows how often each replaced function's new code ran.
    """
    from suture.host.files import check_output, write_atomic
    from suture.lab import junit as junit_form
    from suture.lab.livepatch import TrialPlan

    if report is not None:
        from suture.report.output import form_of

        form_of(report)
    if junit is not None:
        check_output(junit)
    plan = TrialPlan(_read_scripts(script), script_deadline, transition_deadline, rounds, workload)
    outcomes = [
        _outcome(module, kernel, kernel_dir, plan, _report_for(report, module, modules))
        for module in modules
    ]
    if junit is not None:
        write_atomic(junit, junit_form.document(outcomes))
    _tell(outcomes)
    if not all(outcome.passed for outcome in outcomes):
        raise click.exceptions.Exit(1)


def _read_scripts(paths: Sequence[Path]) -> tuple[GuestScript, ...]:
    """Read the scripts.  A script is called by its file's name, or by its path where two have one
    name."""
    from suture.host.files import read_bytes
    from suture.lab.scripts import GuestScript

    names = [path.name for path in paths]
    return tuple(
        GuestScript(path.name if names.count(path.name) == 1 else str(path), read_bytes(path))
        for path in paths
    )


def _report_for(report: Path | None, module: Path, modules: Sequence[Path]) -> Path | None:
    """Return the file of the report on one module."""
    if report is None or len(modules) == 1:
        return report
    return numbered(report, module.stem)


def _outcome(
    module: Path,
    kernel: str | None,
    kernel_dir: Path | None,
    plan: TrialPlan,
    report_file: Path | None,
) -> TrialOutcome:
    """Test one module."""
    from suture.host.files import read_bytes
    from suture.lab.livepatch import try_out
    from suture.lab.results import TrialOutcome
    from suture.module.inspect import read_file, refuse_other_release, refuse_unapplied

    try:
        found = read_file(module)
        target = chosen(kernel or (found.release if kernel_dir is None else None), kernel_dir)
        refuse_other_release(found, target.release, str(module))
        refuse_unapplied(found, str(module))
        data = read_bytes(module)
        report = try_out(target, data, found.patch, plan)
        if report_file is not None:
            of_test(report_file, module, data, target, report)
    except Refusal as refusal:
        return TrialOutcome(str(module), None, refusal)
    return TrialOutcome(str(module), report)


def _tell(outcomes: Sequence[TrialOutcome]) -> None:
    """Print what came of it: of one module its report, or the refusal; of several, a list."""
    if len(outcomes) == 1:
        (only,) = outcomes
        if only.report is None:
            assert only.refusal is not None
            raise only.refusal
        report = only.report
        emit(report.as_dict(), lambda: for_people(report))
        return
    document = {
        "passed": all(outcome.passed for outcome in outcomes),
        "tests": [outcome.as_dict() for outcome in outcomes],
    }
    emit(document, lambda: _all_for_people(outcomes))


def for_people(report: TestReport) -> Human:
    """The report for people."""
    calls = [
        (
            count.objname,
            count.function,
            count.new_name,
            "not counted" if count.calls is None else str(count.calls),
        )
        for count in report.counts
    ]
    parts: list[Human] = [*_script_lines(report.scripts)]
    if calls:
        parts += ["", table(("object", "function", "new code", "calls"), calls)]
    parts += [f"found: {printable(str(finding))}" for finding in report.findings]
    for complaint in report.complaints:
        step = report.during(complaint)
        when = (
            "" if step is None else f" during {_named(report, step.name, step.script, step.round)}"
        )
        parts += [
            "",
            f"the kernel complained ({complaint.what}){when}:",
            *(f"  {printable(line)}" for line in complaint.lines),
        ]
    for failure in report.failures:
        parts += ["", printable(str(failure))]
    return in_parts(*parts, "", *_rounds_lines(report), _verdict(report))


def _all_for_people(outcomes: Sequence[TrialOutcome]) -> Human:
    parts: list[Human] = []
    rows = []
    for outcome in outcomes:
        if outcome.report is not None:
            parts += [for_people(outcome.report), ""]
            result = "passed" if outcome.passed else "FAILED"
            row = (outcome.report.release, result, f"{outcome.report.seconds:.1f} s")
        else:
            parts += [printable(str(outcome.refusal)), ""]
            row = ("", "not tested", "")
        rows.append((outcome.module, *row))
    return in_parts(*parts, table(("module", "kernel", "result", "time"), rows))


def _script_lines(runs: Sequence[ScriptRun]) -> Iterator[str]:
    """Yield what the scripts said; of rounds after the first, only what failed."""
    for run in runs:
        if run.round > 1 and run.phase.value == "patched" and run.status == 0:
            continue
        which = f"{run.phase.value}, round {run.round}" if run.round > 1 else run.phase.value
        ended = "ended at its deadline" if run.late else f"exit status {run.status}"
        yield f"{printable(run.name)}, {which}: {ended}"
        yield from (f"  {line}" for line in printable(run.output).splitlines())


def _named(report: TestReport, step: str, script: str, number: int) -> str:
    which = f"{step} ({script})" if script else step
    return f"{which} in round {number}" if report.rounds > 1 else which


def _rounds_lines(report: TestReport) -> Iterator[str]:
    """Yield what is to be said of many rounds."""
    from suture.lab.results import PATCHING, UNPATCHING

    if report.rounds == 1:
        return
    busy = ", while the guest was kept busy" if report.workload else ""
    yield f"{report.rounds_done} of {report.rounds} rounds passed{busy}"
    if report.rounds_done < report.rounds and not report.passed:
        yield f"round {report.rounds_done + 1} was the last"
    for name, what in ((PATCHING, "to the new code"), (UNPATCHING, "back to the old code")):
        times = report.transitions(name)
        if times is not None:
            yield f"transitions {what}: {_times(times)}"


def _times(times: TransitionTimes) -> str:
    return f"min {times.min:.1f} s, median {times.median:.1f} s, max {times.max:.1f} s"


def _verdict(report: TestReport) -> str:
    verdict = "passed" if report.passed else "FAILED"
    return (
        f"{report.patch} on {report.release} ({report.accelerator}): "
        f"{verdict} in {report.seconds:.1f} s"
    )
