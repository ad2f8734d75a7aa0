# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture list``"""

from __future__ import annotations

from typing import TYPE_CHECKING

from suture.cli.output import Json, emit, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from suture.core.patches import LoadedPatch

EXAMPLES = (
    ("suture list", "list the live patches in the kernel"),
    ("suture list --json | jq -r '.patches[].name'", "print only their names"),
)


def list_patches(json: Json = False) -> None:
    """List the live patches in the running kernel in the order in which they were loaded, by
    Suture or not."""
    from suture.core.cores import current

    found = current().patches()
    emit({"patches": found}, lambda: for_people(found))


def for_people(found: tuple[LoadedPatch, ...]) -> RenderableType:
    """The list for people."""
    if not found:
        return "The running kernel has no live patches."
    rows = [
        (patch.name, state(patch), ", ".join(sorted(f"{o}:{f}" for o, f in patch.functions)))
        for patch in found
    ]
    return table(("live patch", "state", "replaces"), rows)


def state(patch: LoadedPatch) -> str:
    """A live patch's state, for people."""
    if patch.transition:
        return "coming into force" if patch.enabled else "going out of force"
    return "in force" if patch.enabled else "out of force"
