# SPDX-License-Identifier: GPL-2.0-or-later
"""The options that the commands share which change the running kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from suture.core.change import Options

Timeout = Annotated[
    float,
    typer.Option(
        "--timeout", metavar="SECONDS", min=0.0, help="For tasks to move; then it is reversed."
    ),
]

NoRevert = Annotated[
    bool,
    typer.Option(
        "--no-revert", help="Leave a transition that does not end as it is, to look into it."
    ),
]

Wait = Annotated[
    float,
    typer.Option(
        "--wait",
        metavar="SECONDS",
        min=0.0,
        help="For another process that is changing live patches.",
    ),
]

NoJournal = Annotated[
    bool,
    typer.Option(
        "--no-journal", help="Go ahead although nothing can be written to /var/lib/suture/journal."
    ),
]


def options(
    timeout: float, revert: bool, wait: float, record: bool, *, ignore_probes: bool = False
) -> Options:
    """The same for the library."""
    from suture.core.change import Options
    from suture.core.journal import Journal

    return Options(timeout, revert, ignore_probes, wait, Journal() if record else None)
