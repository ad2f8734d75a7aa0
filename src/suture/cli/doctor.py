# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture doctor``"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import click

from suture.cli import completion
from suture.cli.commands import OneOf, command, option
from suture.cli.output import Human, emit, in_parts, json_option, table

if TYPE_CHECKING:
    from suture.doctor import Report

EXAMPLES = (
    ("suture doctor", "check for what this host was installed for"),
    ("suture doctor --for load", "check whether this host can load live patches"),
    ("suture doctor --kernel 6.1.0-50-amd64", "check for another target and its compiler"),
    ("suture doctor --json | jq -r .install", "print the command that installs what is missing"),
)

MARKS = {"ok": "✓", "warning": "!", "lack": "✗"}


class HostUse(StrEnum):
    """What a host is for, as ``--for`` takes it."""

    LOAD = "load"
    BUILD = "build"
    TEST = "test"


@command("doctor", examples=EXAMPLES)
@option(
    "--for",
    "uses",
    metavar="load|build|test",
    type=OneOf(HostUse),
    multiple=True,
    help="What this host is for; by default what it was installed for. Repeatable.",
)
@option(
    "--kernel",
    metavar="RELEASE",
    shell_complete=completion.kernels,
    help="The target; by default the running kernel.",
)
@json_option
def doctor(uses: tuple[HostUse, ...], kernel: str | None) -> None:
    """Check what this host has and lacks for building, testing and loading live patches.

    For each thing that is missing, 'suture doctor' shows how to get it. It changes, downloads and
    boots nothing.

    By default the host is judged by what it was installed for. With the Python packages of the
    extra 'build', that is building and testing; obstacles to loading are then only warnings,
    because another host may load the live patch. Without them, it is loading.

    Exit status 0 means that everything for that is there.
    """
    from suture.doctor import examine
    from suture.host.packages import Purpose

    purposes = {
        HostUse.LOAD: Purpose.LOADING,
        HostUse.BUILD: Purpose.BUILDING,
        HostUse.TEST: Purpose.TESTING,
    }
    report = examine(kernel, tuple(dict.fromkeys(purposes[use] for use in uses)))
    document = {
        "release": report.release,
        "purposes": report.purposes,
        "ready": report.ready,
        "install": report.install,
        "checks": report.checks,
    }
    emit(document, lambda: for_people(report))
    if not report.ready:
        raise click.exceptions.Exit(1)


def for_people(report: Report) -> Human:
    """The report for people."""
    rows = [
        (
            check.purpose.value,
            MARKS[check.status.value],
            check.name,
            _found(check.found, check.remedy),
        )
        for check in report.checks
    ]
    parts: list[Human] = [table(("for", "", "what", "found"), rows)]
    if report.install:
        parts.append(f"\nTo install what is missing:\n\n  {report.install}")
    elif report.ready:
        purposes = " and ".join(purpose.value for purpose in report.purposes)
        parts.append(f"\nEverything for {purposes} is there.")
    return in_parts(*parts)


def _found(found: str, remedy: str) -> str:
    return f"{found} -> {remedy}" if remedy else found
