# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture list``"""

from __future__ import annotations

from typing import TYPE_CHECKING

from suture.cli.output import Json, emit, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from suture.core.sysfs import LoadedPatch

EXAMPLES = (
    ("suture list", "which live patches the kernel runs"),
    ("suture list --json | jq -r '.patches[].name'", "their names alone"),
)


def list_patches(json: Json = False) -> None:
    """List the live patches that the running kernel has, first loaded first, whoever loaded
    them."""
    from suture.core import sysfs

    found = sysfs.patches()
    emit({"patches": found}, lambda: for_people(found))


def for_people(found: tuple[LoadedPatch, ...]) -> RenderableType:
    if not found:
        return "The running kernel has no live patches."
    rows = [
        (patch.name, state(patch), ", ".join(sorted(f"{o}:{f}" for o, f in patch.functions)))
        for patch in found
    ]
    return table(("live patch", "state", "replaces"), rows)


def state(patch: LoadedPatch) -> str:
    """One or two words."""
    if patch.transition:
        return "coming into force" if patch.enabled else "going out of force"
    return "in force" if patch.enabled else "out of force"
