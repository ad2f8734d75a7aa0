# SPDX-License-Identifier: GPL-2.0-or-later
"""The result of ``suture build`` for patches that are C modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from suture.builder.artifact import Artifact
    from suture.formats.cmodule import CModule
    from suture.verify.replaced import Checked

NOT_PROVED = (
    "not proved: that these functions do what the author assumed, and that no caller has an "
    "inlined copy; without unpatched source, there is nothing to compare with the kernel"
)

IN_MEMORY = (
    "must stay in memory, or take these back before it is unloaded: the kernel may use them at any "
    "time; see docs/running.md"
)


def document(artifact: Artifact, module: CModule) -> dict[str, object]:
    """One of several modules for ``--json``."""
    return {
        "module": str(artifact.path),
        "name": module.name,
        "release": artifact.target.release,
        "format": module.dialect.value,
        "replace": artifact.patch.replace if artifact.is_live_patch else None,
        "objects": artifact.patch.objects,
        "checked": checked(artifact.checked),
        "hands_out": artifact.hands_out,
        "suse_fixes": artifact.suse_fixes,
    }


def checked(functions: Sequence[Checked]) -> list[dict[str, object]]:
    """The checked functions for ``--json``."""
    return [
        {
            "object": one.objname,
            "function": one.function,
            "sympos": one.sympos,
            "new": one.new,
            "prototype": one.prototype,
            "proved": False,
        }
        for one in functions
    ]


def for_people(artifact: Artifact, module: CModule) -> str:
    """One built module, for people."""
    if not artifact.is_live_patch:
        return f"{artifact.path} is a module for {artifact.target.release} that replaces nothing."
    head = f"{artifact.path} is a live patch for {artifact.target.release}."
    return "\n".join(
        [
            head,
            f"  from     {module.dialect.value}; {module.because}",
            *_fixes(artifact),
            *lines(artifact.checked),
            *handed_out(artifact.hands_out),
        ]
    )


def _fixes(artifact: Artifact) -> list[str]:
    """Return a line about the fixes of one of SUSE's directories."""
    names = ", ".join(artifact.suse_fixes)
    return [f"  with     {names}"] if names else []


def handed_out(reasons: Sequence[str]) -> list[str]:
    """Return lines about the addresses that an author's module hands out."""
    found = [f"  hands out an address in it: {reason}" for reason in reasons]
    return [*found, f"  {IN_MEMORY}"] if found else []


def lines(functions: Sequence[Checked]) -> list[str]:
    """What Suture checked about the functions that an author's module replaces, and what not."""
    found = []
    for one in functions:
        position = f" (sympos {one.sympos})" if one.sympos else ""
        types = "same prototype" if one.prototype else "prototype not known"
        found.append(
            f"  replaces {one.objname}: {one.function}(){position}, "
            f"found, has a fentry call, {types}"
        )
    return [*found, f"  {NOT_PROVED}"] if found else []
