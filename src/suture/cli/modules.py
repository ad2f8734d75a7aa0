# SPDX-License-Identifier: GPL-2.0-or-later
"""The result of ``suture build`` for patches that are C modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from suture.builder.cmodules import BuiltModule
    from suture.verify.replaced import Checked

NOT_PROVED = (
    "not proved: that these functions do what the author assumed, and that no caller has an "
    "inlined copy; without unpatched source, there is nothing to compare with the kernel"
)


def document(built: BuiltModule) -> dict[str, object]:
    """One of several modules for ``--json``."""
    return {
        "module": str(built.path),
        "name": built.source.name,
        "release": built.target.release,
        "format": built.source.dialect.value,
        "replace": built.patch.replace if built.patch else None,
        "objects": built.patch.objects if built.patch else (),
        "checked": checked(built.checked),
    }


def checked(functions: Sequence[Checked]) -> list[dict[str, object]]:
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


def for_people(built: BuiltModule) -> str:
    if built.patch is None:
        return f"{built.path} is a module for {built.target.release} that replaces nothing."
    head = f"{built.path} is a live patch for {built.target.release}."
    return "\n".join(
        [
            head,
            f"  from     {built.source.dialect.value}; {built.source.because}",
            *lines(built.checked),
        ]
    )


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
