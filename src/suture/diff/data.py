# SPDX-License-Identifier: GPL-2.0-or-later
"""Variables whose initial value the patch changes."""

from __future__ import annotations

from suture.diff.locals import base
from suture.diff.same import Comparison
from suture.diff.sections import row
from suture.diff.view import ToUnit, Unit, View
from suture.elf.object import SHF_WRITE
from suture.errors import DATA_CHANGED, Refusal


def refuse_changed_data(comparison: Comparison) -> None:
    """:raises Refusal: ``data-changed``"""
    original, view = comparison.original.view, comparison.patched.view
    for after, before in comparison.correlation.original.items():
        if after.is_function or view.is_private(after) or not view.section(after).is_allocated:
            continue
        if row(view.section(after).name) is not None:
            continue  # an entry of a list: `changed_sections`
        if holds_labels(view, after) and holds_labels(original, before):
            continue  # goes with the function whose labels it holds
        if not comparison.same_data(before, after):
            section = view.section(after).name
            size = f"{before.size} bytes" if before.size == after.size else f"{before.size} to {after.size} bytes"
            raise Refusal(
                DATA_CHANGED,
                view.obj.name,
                f"the patch changes the initial value of {base(after.name)} ({section}, {size})",
            )


def holds_labels(view: View, unit: Unit) -> bool:
    """A constant that refers into the middle of functions: a table for computed jumps (``&&label``)."""
    return not view.section(unit).flags & SHF_WRITE and any(
        isinstance(reference.target, ToUnit) and reference.target.unit.is_function and reference.target.offset
        for reference in view.references(unit)
    )
