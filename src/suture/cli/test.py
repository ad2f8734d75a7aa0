# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture test``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suture.cli import completion
from suture.cli.output import Json, emit, table
from suture.cli.reports import ReportFile, of_test
from suture.cli.target import KernelDir, ModuleKernel, chosen
from suture.host.terminal import printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from suture.lab.livepatch import TestReport

EXAMPLES = (
    (
        "suture test fix.ko",
        "check that it loads, takes effect and unloads without complaints",
    ),
    (
        "suture test fix.ko --script check.sh",
        "run check.sh before, with and after the patch, with $phase set",
    ),
    (
        "suture test fix.ko --report fix.html",
        "add the result to the report that 'suture build' wrote",
    ),
)


def test(
    module: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.ko",
            readable=False,
            autocompletion=completion.modules,
            help="A live patch module, from any build tool.",
        ),
    ],
    kernel: ModuleKernel = None,
    kernel_dir: KernelDir = None,
    script: Annotated[
        Path | None,
        typer.Option(
            "--script",
            metavar="FILE",
            readable=False,
            help="Run this busybox sh script in the guest with $phase set to before, patched and "
            "reverted; it must exit with 0 while the patch is in force.",
        ),
    ] = None,
    script_deadline: Annotated[
        float,
        typer.Option(
            "--script-deadline", metavar="SECONDS", min=0.1, help="Limit for each script run."
        ),
    ] = 60.0,
    transition_deadline: Annotated[
        float,
        typer.Option(
            "--transition-deadline", metavar="SECONDS", min=0.1, help="Limit for each transition."
        ),
    ] = 60.0,
    report_file: ReportFile = None,
    json: Json = False,
) -> None:
    """Boot the target in a throwaway virtual machine, and load and unload a live patch there.

    The target is the kernel that the module is for, unless --kernel-dir names a tree of it.

    The test fails if the module does not load or unload, a transition does not end, the script
    fails on the new code, or the guest's kernel log shows any WARNING, BUG, Oops, stall or hung
    task. The report shows how often each replaced function's new code ran.
    """
    from suture.host.files import read_bytes
    from suture.lab.livepatch import try_out
    from suture.module.inspect import read_file, refuse_other_release, refuse_unapplied

    if report_file is not None:
        from suture.report.output import form_of

        form_of(report_file)
    found = read_file(module)
    target = chosen(kernel or (found.release if kernel_dir is None else None), kernel_dir)
    refuse_other_release(found, target.release, str(module))
    refuse_unapplied(found, str(module))
    data = read_bytes(module)
    report = try_out(
        target,
        data,
        found.patch,
        script=None if script is None else read_bytes(script),
        script_deadline=script_deadline,
        transition_deadline=transition_deadline,
    )
    if report_file is not None:
        of_test(report_file, module, data, target, report)
    emit(report.as_dict(), lambda: for_people(report))
    if not report.passed:
        raise typer.Exit(1)


def for_people(report: TestReport) -> RenderableType:
    """The report for people."""
    from rich.console import Group

    calls = [
        (
            count.objname,
            count.function,
            count.new_name,
            "not counted" if count.calls is None else str(count.calls),
        )
        for count in report.counts
    ]
    parts: list[RenderableType] = []
    for run in report.scripts:
        parts.append(f"script, {run.phase.value}: exit status {run.status}")
        parts += [f"  {line}" for line in printable(run.output).splitlines()]
    if calls:
        parts += ["", table(("object", "function", "new code", "calls"), calls)]
    parts += [f"found: {printable(str(finding))}" for finding in report.findings]
    for complaint in report.complaints:
        parts += [
            "",
            f"the kernel complained ({complaint.what}):",
            *(f"  {line}" for line in complaint.lines),
        ]
    if report.failure is not None:
        parts += ["", printable(str(report.failure))]
    seconds = sum(step.seconds for step in report.steps)
    verdict = "passed" if report.passed else "FAILED"
    parts += [
        "",
        f"{report.patch} on {report.release} ({report.accelerator}): {verdict} in {seconds:.1f} s",
    ]
    return Group(*parts)
