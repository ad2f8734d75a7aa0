# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture demo``"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from suture.cli import build as build_command
from suture.cli.commands import command
from suture.cli.output import emit, json_option
from suture.cli.target import kernel_option

if TYPE_CHECKING:
    from suture.demo import Demonstration

EXAMPLES = (
    ("suture demo", "use the newest stock kernel"),
    ("suture demo --kernel 6.1.0-50-amd64", "choose the kernel"),
)

PHASES = {
    "before": "before",
    "patched": "with the live patch",
    "reverted": "after it was taken out",
}


@command("demo", examples=EXAMPLES)
@kernel_option
@json_option
def demo(kernel: str | None) -> None:
    """Show Suture at work on a stock kernel in a throwaway virtual machine.

    The demo builds a live patch from a source diff, boots the kernel, loads the patch and unloads
    it again, and shows what the kernel prints before, with and after the patch. It does not touch
    the running kernel.
    """
    from suture.demo import demonstrate

    shown = demonstrate(kernel)
    document = {
        "patch": shown.patch,
        "build": build_command.document(shown.built),
        "test": shown.report.as_dict(),
    }
    emit(document, lambda: _for_people(shown))
    if not shown.report.passed:
        raise click.exceptions.Exit(1)


def _for_people(shown: Demonstration) -> str:
    seconds = {step.name: step.seconds for step in shown.report.steps}
    lines = ["The source diff:", ""]
    lines += [f"    {line}" for line in shown.patch.splitlines()]
    lines += ["", build_command.for_people(shown.built), ""]
    lines += [
        f"{shown.report.release}, booted ({shown.report.accelerator}, "
        f"{seconds.get('boot', 0):.0f} s):",
        "",
    ]
    for run in shown.report.scripts:
        lines.append(f"  $ grep -i vmallocchunk /proc/meminfo    # {PHASES[run.phase.value]}")
        lines += [f"  {line}" for line in run.output.splitlines()]
    counts = [f"{count.function}() ran {count.calls} times" for count in shown.report.counts]
    lines += [
        "",
        f"New code: {', '.join(counts)}.",
        "",
        "passed" if shown.report.passed else "FAILED",
    ]
    if shown.report.failure is not None:
        lines.append(str(shown.report.failure))
    lines += [line for complaint in shown.report.complaints for line in complaint.lines]
    return "\n".join(lines)
