# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture verify``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from suture.cli.commands import command
from suture.cli.names import module_argument
from suture.cli.output import Human, emit, in_parts, json_option, table
from suture.cli.purpose import fix_lines
from suture.cli.reports import report_option
from suture.cli.target import chosen, kernel_dir_option, module_kernel_option
from suture.host.terminal import printable

if TYPE_CHECKING:
    from suture.report.content import PatchReport, Problem

EXAMPLES = (
    (
        "suture verify fix.ko --kernel 6.1.0-50-amd64",
        "check that a module fits a kernel, whoever built it",
    ),
    (
        "suture verify fix.ko --kernel 6.1.0-50-amd64 --report fix.html",
        "write what was checked as a page for reviewers",
    ),
)


@command("verify", examples=EXAMPLES)
@module_argument
@module_kernel_option
@kernel_dir_option
@report_option
@json_option
def verify(module: Path, kernel: str | None, kernel_dir: Path | None, report: Path | None) -> None:
    """Check that a live patch module fits a kernel, whichever tool built it.

    Every replaced function must be in the kernel and redirectable; every symbol that the module
    uses must be there, at its position and in its version; the module must be for this release and
    configuration. The result says what could not be shown without the unpatched source.

    If this host runs that kernel, root also sees whether the functions that the module replaces and
    reaches are in memory as they were shipped. What the kernel itself writes into its code is
    understood: alternatives, static branches and calls, tracers, live patches, probes.

    The exit status is 1 if anything does not fit, or if memory differs.
    """
    from suture.core.running import ROOT
    from suture.host.files import read_bytes
    from suture.module.inspect import read_file
    from suture.report import document, output
    from suture.report.verification import of_module

    if report is not None:
        output.form_of(report)
    release = kernel or (read_file(module).release if kernel_dir is None else None)
    target = chosen(release or None, kernel_dir)
    found = of_module(read_bytes(module), str(module), target, ROOT)
    if report is not None:
        output.write(found, report)
    emit(document.plain(found), lambda: for_people(found))
    if not found.verdict.fits:
        raise click.exceptions.Exit(1)


def for_people(report: PatchReport) -> Human:
    """The result for people."""
    from suture.report.live import live_notes

    verdict = report.verdict
    functions = [
        (
            one.objname,
            one.function,
            str(one.sympos),
            one.address or "not found",
            f"{one.size} -> {one.new_size}" if one.size and one.new_size else "",
            one.prototype,
        )
        for one in report.checks
    ]
    columns = ("object", "function", "sympos", "address", "bytes", "prototype")
    parts: list[Human] = [printable(line) for line in fix_lines(report.fixes)]
    parts += [table(columns, functions), ""]
    parts += [f"shown: {text}" for text in map(printable, verdict.shown)]
    parts += [f"not shown: {text}" for text in map(printable, verdict.not_shown)]
    parts += [f"in memory: {text}" for text in map(printable, live_notes(report.live))]
    for problem in verdict.problems:
        parts += ["", *_lines(problem)]
    parts += ["", printable(verdict.headline)]
    return in_parts(*parts)


def _lines(problem: Problem) -> list[str]:
    lines = [f"error[{problem.code}]: {problem.where}: {problem.found}"]
    lines += [f"  {line}" for text in (problem.why, problem.remedy) for line in text.splitlines()]
    lines += [f"    {line}" for line in problem.evidence]
    return [printable(line) for line in lines]
