# SPDX-License-Identifier: GPL-2.0-or-later
"""Options shared by the commands that change the running kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from suture.core.change import Options

Timeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        min=0.0,
        help="How long to wait for the transition before reversing it.",
    ),
]

NoRevert = Annotated[
    bool,
    typer.Option(
        "--no-revert", help="Do not reverse a transition that does not end, to investigate it."
    ),
]

Wait = Annotated[
    float,
    typer.Option(
        "--wait",
        metavar="SECONDS",
        min=0.0,
        help="How long to wait for another process that is changing live patches.",
    ),
]

NoJournal = Annotated[
    bool,
    typer.Option("--no-journal", help="Proceed even if /var/lib/suture/journal cannot be written."),
]


Replace = Annotated[
    bool,
    typer.Option(
        "--replace",
        help="Proceed even if functions of earlier live patches go back to the kernel's own code.",
    ),
]


def options(
    timeout: float,
    revert: bool,
    wait: float,
    record: bool,
    *,
    ignore_probes: bool = False,
    replace: bool = False,
) -> Options:
    """Convert the options for the library."""
    from suture.core.change import Options
    from suture.core.journal import Journal

    return Options(timeout, revert, ignore_probes, wait, Journal() if record else None, replace)
