# SPDX-License-Identifier: GPL-2.0-or-later
"""Options shared by the commands that change the running kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suture.cli.commands import Seconds, option

if TYPE_CHECKING:
    from suture.core.change import Options

timeout_option = option(
    "--timeout",
    metavar="SECONDS",
    type=Seconds(min=0.0),
    default=60.0,
    help="How long to wait for the transition before reversing it.",
)

no_revert_option = option(
    "--no-revert",
    is_flag=True,
    help="Do not reverse a transition that does not end, to investigate it.",
)

wait_option = option(
    "--wait",
    metavar="SECONDS",
    type=Seconds(min=0.0),
    default=0.0,
    help="How long to wait for another process that is changing live patches.",
)

no_journal_option = option(
    "--no-journal", is_flag=True, help="Proceed even if /var/lib/suture/journal cannot be written."
)


replace_option = option(
    "--replace",
    is_flag=True,
    help="Proceed even if functions of earlier live patches go back to the kernel's own code.",
)


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
