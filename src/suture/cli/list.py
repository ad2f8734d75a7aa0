# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture list``"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from suture.cli.commands import command
from suture.cli.output import Human, emit, json_option, table

if TYPE_CHECKING:
    from suture.core.patches import LoadedPatch
    from suture.core.status import StayingModule
    from suture.model import Fix

EXAMPLES = (
    ("suture list", "list the live patches in the kernel"),
    ("suture list --json | jq -r '.patches[].name'", "print only their names"),
)

STAYS = "out of force, in memory until the reboot"


@command("list", examples=EXAMPLES)
@json_option
def list_patches() -> None:
    """List the live patches in the running kernel in the order in which they were loaded, by
    Suture or not, and then those that are out of force and stay in memory."""
    from suture.core import modules, running
    from suture.core.cores import current
    from suture.core.status import staying_modules

    supported = current().is_available
    found, staying = current().patches(), staying_modules()
    fixes = {module.name: module.fixes for module in modules.livepatches() if module.fixes}
    stays = {patch.name: modules.stays(patch.name) for patch in found}
    emit(
        {
            "supported": supported,
            "patches": found,
            "stays": {name: reasons for name, reasons in stays.items() if reasons},
            "staying": staying,
            "fixes": {patch.name: fixes[patch.name] for patch in found if patch.name in fixes},
        },
        lambda: (
            for_people(found, stays, staying, fixes)
            if supported
            else f"{running.release()} has no live patching (CONFIG_LIVEPATCH)."
        ),
    )


def for_people(
    found: tuple[LoadedPatch, ...],
    stays: Mapping[str, Collection[str]],
    staying: tuple[StayingModule, ...],
    fixes: Mapping[str, Sequence[Fix]],
) -> Human:
    """The list for people.

    :param stays: why each live patch stays in memory until the reboot.
    :param staying: modules that are out of force already.
    :param fixes: what live patches are for, as far as that is known, by their modules' names.
    """
    if not found and not staying:
        return "The running kernel has no live patches."
    rows = [
        (
            patch.name,
            state(patch, stays=bool(stays[patch.name])),
            ", ".join(sorted(f"{o}:{f}" for o, f in patch.functions)),
            "; ".join(map(str, fixes.get(patch.name, ()))),
        )
        for patch in found
    ]
    rows += [(module.name, STAYS, "", "") for module in reversed(staying)]
    if not any(row[-1] for row in rows):
        return table(("live patch", "state", "replaces"), [row[:-1] for row in rows])
    return table(("live patch", "state", "replaces", "fixes"), rows)


def state(patch: LoadedPatch, *, stays: bool = False) -> str:
    """A live patch's state, for people.

    :param stays: it stays in memory until the reboot, in force or not.
    """
    after = ", stays in memory" if stays else ""
    if patch.transition:
        return f"{'coming into force' if patch.enabled else 'going out of force'}{after}"
    return f"{'in force' if patch.enabled else 'out of force'}{after}"
