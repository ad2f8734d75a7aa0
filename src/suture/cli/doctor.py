# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture doctor``"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from suture.cli import completion
from suture.cli.output import Json, emit, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from suture.doctor import Report

EXAMPLES = (
    ("suture doctor", "check for the running kernel"),
    ("suture doctor --kernel 6.1.0-50-amd64", "check for another target and its compiler"),
    ("suture doctor --json | jq -r .install", "print the command that installs what is missing"),
)

MARKS = {"ok": "✓", "warning": "!", "lack": "✗"}


def doctor(
    kernel: Annotated[
        str | None,
        typer.Option(
            "--kernel",
            metavar="RELEASE",
            autocompletion=completion.kernels,
            help="The target; by default the running kernel.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Check what this host has and lacks for building, testing and loading live patches.

    For each thing that is missing, 'suture doctor' shows how to get it. It changes, downloads and
    boots nothing.

    Exit status 0 means that everything for building and testing is there. Obstacles to loading are
    only warnings, because another host may load the live patch.
    """
    from suture.doctor import examine

    report = examine(kernel)
    document = {
        "release": report.release,
        "ready": report.ready,
        "install": report.install,
        "checks": report.checks,
    }
    emit(document, lambda: for_people(report))
    if not report.ready:
        raise typer.Exit(1)


def for_people(report: Report) -> RenderableType:
    """The report for people."""
    from rich.console import Group

    rows = [
        (
            check.purpose.value,
            MARKS[check.status.value],
            check.name,
            _found(check.found, check.remedy),
        )
        for check in report.checks
    ]
    parts: list[RenderableType] = [table(("for", "", "what", "found"), rows)]
    if report.install:
        parts.append(f"\nTo install what is missing:\n\n  {report.install}")
    elif report.ready:
        parts.append("\nEverything for building and testing is there.")
    return Group(*parts)


def _found(found: str, remedy: str) -> str:
    return f"{found} -> {remedy}" if remedy else found
