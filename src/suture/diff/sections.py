# SPDX-License-Identifier: GPL-2.0-or-later
"""Sections that are neither code, variables nor special: the kernel reads each for a purpose of its own."""

from __future__ import annotations

from suture.diff.locals import DATA, IN_SECTION
from suture.diff.same import Comparison
from suture.diff.special import CARRIED_ALONG, SECTIONS
from suture.diff.view import View
from suture.elf.object import Section
from suture.errors import SECTION_CHANGED, Refusal

IGNORED = (".discard", ".comment", ".note", ".debug", ".symtab", ".strtab", ".shstrtab", ".rela", ".eh_frame", ".BTF")
"""Not part of the running kernel, or made anew for the live patch module."""


def refuse_changed_sections(comparison: Comparison) -> None:
    """They must be as before.

    :raises Refusal: ``section-changed``
    """
    name = comparison.patched.view.obj.name
    before, after = _watched(comparison.original.view), _watched(comparison.patched.view)
    for section in [*before, *after]:
        left, right = before.get(section, []), after.get(section, [])
        if not right:
            raise Refusal(SECTION_CHANGED, name, f"the patch removes all entries of {section}")
        if not left:
            raise Refusal(SECTION_CHANGED, name, f"the patch brings a new section {section}")
        if len(left) != len(right) or not all(map(comparison.same_section, left, right)):
            raise Refusal(SECTION_CHANGED, name, f"the patch changes section {section}")


def _watched(view: View) -> dict[str, list[int]]:
    """Sections, by name, that the kernel reads for a purpose of its own, and code that no symbol names."""
    found: dict[str, list[int]] = {}
    for index, section in enumerate(view.obj.sections):
        if section.size and _is_watched(section) and not (section.is_code and view.units_in(index)):
            found.setdefault(section.name, []).append(index)
    return found


def _is_watched(section: Section) -> bool:
    # What IN_SECTION names holds private data, which goes with the code that uses it.
    known = CARRIED_ALONG | {special.name for special in SECTIONS} | set(IN_SECTION.values())
    return (
        section.is_allocated
        and not section.is_strings
        and section.name not in known
        and not section.name.startswith((*DATA, *IGNORED))
    )
