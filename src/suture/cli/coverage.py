# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture coverage``"""

from __future__ import annotations

from typing import TYPE_CHECKING

from suture.cli.commands import Seconds, argument, command, option
from suture.cli.names import loaded
from suture.cli.output import Human, emit, in_parts, json_option, table
from suture.host.terminal import printable

if TYPE_CHECKING:
    from suture.core.coverage import CountedFunction, PatchCoverage

EXAMPLES = (
    ("suture coverage", "count for ten seconds which new code runs"),
    ("suture coverage livepatch_fix --seconds 600", "count the calls of one live patch's code"),
)


@command("coverage", examples=EXAMPLES)
@argument(
    "names",
    metavar="NAME",
    nargs=-1,
    shell_complete=loaded,
    help="Live patches, as 'suture list' shows them; by default all.",
)
@option(
    "--seconds",
    metavar="SECONDS",
    type=Seconds(min=0.1),
    default=10.0,
    help="How long to count.",
)
@json_option
def coverage(names: tuple[str, ...], seconds: float) -> None:
    """Show how many tasks run the code of each live patch, and count for a while how often each of
    its functions is called; as root.

    The functions are those that the kernel can trace: the compiler may have built others into
    them. No call means that nothing used the function meanwhile, not that it would not run.

    While it counts, each function has a probe, which makes its calls a little slower. Other users
    of tracing see nothing of it.
    """
    from suture.core.cores import current
    from suture.core.coverage import coverage as count
    from suture.core.store import module_name
    from suture.errors import PATCH_NOT_LOADED, Refusal
    from suture.host.progress import step

    patches = current().patches()
    wanted = [module_name(name) for name in names]
    for name in wanted:
        if all(patch.name != name for patch in patches):
            raise Refusal(PATCH_NOT_LOADED, name, "no live patch of this name is in force")
    chosen = [patch for patch in patches if not wanted or patch.name in wanted]
    if chosen:
        with step("Counting calls", f"{seconds:g} s"):
            found = count(chosen, seconds)
    else:
        found = ()
    emit({"seconds": seconds, "patches": found}, lambda: for_people(found, seconds))


def for_people(found: tuple[PatchCoverage, ...], seconds: float) -> Human:
    """The counts for people."""
    if not found:
        return "No live patch is in force."
    parts: list[Human] = []
    for one in found:
        moved = f"{one.tasks.moved} of {one.tasks.total} tasks run its code"
        parts += (
            ["", printable(f"{one.patch}: {moved}")]
            if parts
            else [printable(f"{one.patch}: {moved}")]
        )
        heads = ("function", "replaces that of", f"calls in {seconds:g} s")
        parts.append(table(heads, [_row(function) for function in one.functions]))
    return in_parts(*parts)


def _row(function: CountedFunction) -> tuple[str, str, str]:
    calls = "cannot be counted" if function.calls is None else str(function.calls)
    return function.name, ", ".join(function.replaces), calls
