# SPDX-License-Identifier: GPL-2.0-or-later
"""Which functions the patch changed, and whether it changed anything that no live patch can.

Two functions are the same when their bytes are, outside relocated fields; when what the fields refer to is; and when
their entries in the special sections are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from suture.diff.correlate import Correlation, correlate
from suture.diff.locals import DATA, IN_SECTION, base, is_cold, parent
from suture.diff.special import (
    ALTINSTR_AUX,
    ALTINSTRUCTIONS,
    CARRIED_ALONG,
    SECTIONS,
    Entries,
    Entry,
    replacement,
)
from suture.diff.view import (
    Reference,
    Target,
    ToAnonymous,
    ToLiteral,
    ToUnit,
    Unit,
    View,
)
from suture.elf.object import SHF_WRITE, SHT_NOBITS, Section
from suture.elf.relocations.x86_64 import TYPES
from suture.errors import (
    DATA_CHANGED,
    EXIT_FUNCTION_CHANGED,
    FUNCTION_NOT_TRACEABLE,
    INIT_FUNCTION_CHANGED,
    NO_CODE_CHANGE,
    SECTION_CHANGED,
    Refusal,
)

ONCE_ONLY = (".init.", ".exit.", ".head.text", ".meminit.", ".devinit.", ".cpuinit.")
"""Sections that are discarded, or run, before any live patch can be there (include/asm-generic/vmlinux.lds.h)."""

IGNORED = (".discard", ".comment", ".note", ".debug", ".symtab", ".strtab", ".shstrtab", ".rela", ".eh_frame", ".BTF")
"""Not part of the running kernel, or made anew for the live patch module."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two objects."""

    view: View
    entries: Entries


@dataclass(frozen=True, slots=True)
class Changes:
    """What the patch did to one object.

    :ivar changed: patched functions (with the original of each) that differ, ``.cold`` parts left out.
    :ivar provided: global functions and variables that only the patched object has: other files may use them.
    """

    original: Side
    patched: Side
    correlation: Correlation
    changed: tuple[tuple[Unit, Unit], ...]
    provided: tuple[Unit, ...]


def compare(original: Side, patched: Side) -> Changes:
    """Find what changed between two objects.

    :raises Refusal: ``init-function-changed``, ``exit-function-changed``, ``function-not-traceable``,
        ``data-changed``, ``section-changed``, ``ambiguous-local``; ``no-code-change`` where nothing changed
    """
    correlation = correlate(original.view, patched.view)
    comparison = Comparison(original, patched, correlation)
    changed = _changed_functions(comparison, original.view, patched.view, correlation)
    comparison.refuse_changed_data()
    comparison.refuse_changed_sections()
    provided = tuple(unit for unit in patched.view.units if _is_provided(patched.view, unit, correlation))
    if not changed and not provided:
        raise Refusal(NO_CODE_CHANGE, patched.view.obj.name, "no function differs")
    for before, after in changed:
        _refuse_unreachable(original, patched, before, after)
    return Changes(original, patched, correlation, changed, provided)


def _changed_functions(
    comparison: Comparison, original: View, patched: View, correlation: Correlation
) -> tuple[tuple[Unit, Unit], ...]:
    """Functions that differ, themselves or in their ``.cold`` part, which may also have come or gone."""
    changed: dict[Unit, Unit] = {}
    for unit in patched.units:
        if not unit.is_function or not patched.section(unit).is_code:
            continue
        before = correlation.original.get(unit)
        owner = _owner(patched, unit) if is_cold(unit.name) else unit
        if owner is None or owner not in correlation.original:
            continue
        if before is None or not comparison.same_function(before, unit):
            changed[owner] = correlation.original[owner]
    kept = set(correlation.original.values())
    gone = {parent(unit.name) for unit in original.units if is_cold(unit.name) and unit not in kept}
    changed |= {after: before for after, before in correlation.original.items() if before.name in gone}
    return tuple((before, after) for after, before in changed.items())


def _is_provided(view: View, unit: Unit, correlation: Correlation) -> bool:
    section = view.section(unit)
    return (
        unit not in correlation.original
        and not unit.is_local
        and section.is_allocated
        and (section.is_code or section.name.startswith(DATA))
    )


def cold_part(view: View, unit: Unit) -> Unit | None:
    """The ``.cold`` part of a function."""
    names = (f"{name}.cold" for name in (unit.name, *unit.aliases))
    return next((cold for name in names for cold in view.by_name.get(name, ())), None)


def anonymous_range(view: View, target: ToAnonymous) -> tuple[int, int]:
    """How much of a section without symbols a reference means.

    ``.altinstr_aux`` holds one piece of code per ``static_cpu_has()``, entered at its start only
    (arch/x86/include/asm/cpufeature.h), so it is cut where references lead; of any other section, all of it.
    """
    section = view.obj.sections[target.section]
    if section.name != ALTINSTR_AUX:
        return 0, section.size
    return target.offset, view.following(target)


class Comparison:
    """Compares units of the two objects; remembers what it is comparing, so that circles of references end."""

    def __init__(self, original: Side, patched: Side, correlation: Correlation) -> None:
        self._original = original
        self._patched = patched
        self._correlation = correlation
        # In the order in which they were assumed: what a failed comparison assumed on its way fails with it.
        self._assumed: dict[tuple[tuple[int, int, int], tuple[int, int, int]], None] = {}

    def same_function(self, before: Unit, after: Unit) -> bool:
        mine, theirs = self._original.view, self._patched.view
        return (
            before.size == after.size
            and _is_once_only(mine.section(before)) == _is_once_only(theirs.section(after))
            and self._same_range((before.section, before.start, before.end), (after.section, after.start, after.end))
        )

    def same_data(self, before: Unit, after: Unit) -> bool:
        mine, theirs = self._original.view.section(before), self._patched.view.section(after)
        return (
            before.size == after.size
            and (mine.flags, mine.type == SHT_NOBITS) == (theirs.flags, theirs.type == SHT_NOBITS)
            and self._same_range((before.section, before.start, before.end), (after.section, after.start, after.end))
        )

    def refuse_changed_data(self) -> None:
        """:raises Refusal: ``data-changed``"""
        for after, before in self._correlation.original.items():
            view = self._patched.view
            if after.is_function or view.is_private(after) or not view.section(after).is_allocated:
                continue
            if holds_labels(view, after) and holds_labels(self._original.view, before):
                continue  # goes with the function whose labels it holds
            if not self.same_data(before, after):
                section = view.section(after).name
                size = f"{before.size} bytes" if before.size == after.size else f"{before.size} to {after.size} bytes"
                raise Refusal(
                    DATA_CHANGED,
                    view.obj.name,
                    f"the patch changes the initial value of {base(after.name)} ({section}, {size})",
                )

    def refuse_changed_sections(self) -> None:
        """Sections that are neither code, variables nor special must be as before.

        :raises Refusal: ``section-changed``
        """
        mine, theirs = self._original.view, self._patched.view
        before, after = _watched(mine), _watched(theirs)
        for name in [*before, *after]:
            left, right = before.get(name, []), after.get(name, [])
            if not right:
                raise Refusal(SECTION_CHANGED, theirs.obj.name, f"the patch removes all entries of {name}")
            if not left:
                raise Refusal(SECTION_CHANGED, theirs.obj.name, f"the patch brings a new section {name}")
            if len(left) != len(right) or not all(map(self._same_section, left, right)):
                raise Refusal(SECTION_CHANGED, theirs.obj.name, f"the patch changes section {name}")

    def _same_section(self, before: int, after: int) -> bool:
        sizes = self._original.view.obj.sections[before].size, self._patched.view.obj.sections[after].size
        return sizes[0] == sizes[1] and self._same_range((before, 0, sizes[0]), (after, 0, sizes[1]))

    def _same_range(self, before: tuple[int, int, int], after: tuple[int, int, int]) -> bool:
        """:param before: section, start and end in the original; `after` the same in the patched object."""
        key = (before, after)
        if key in self._assumed:
            return True
        known = len(self._assumed)
        self._assumed[key] = None
        same = self._same_bytes(before, after) and self._same_entries(before, after)
        while not same and len(self._assumed) > known:
            self._assumed.popitem()
        return same

    def _same_bytes(self, before: tuple[int, int, int], after: tuple[int, int, int]) -> bool:
        mine, theirs = self._original.view, self._patched.view
        left, right = list(mine.references_in(*before)), list(theirs.references_in(*after))
        return (
            masked(_bytes(mine, *before), left) == masked(_bytes(theirs, *after), right)
            and len(left) == len(right)
            and all(self._same_reference(a, b) for a, b in zip(left, right, strict=True))
        )

    def _same_reference(self, before: Reference, after: Reference) -> bool:
        return (before.offset, before.type) == (after.offset, after.type) and self._same_target(
            before.target, after.target
        )

    def _same_target(self, before: Target, after: Target) -> bool:
        match before, after:
            case ToUnit(left, here), ToUnit(right, there):
                return here == there and (self._correlation.has(left, right) or self._same_private(left, right))
            case ToLiteral(_, left_bytes, here), ToLiteral(_, right_bytes, there):
                return (left_bytes, here) == (right_bytes, there)
            case ToAnonymous(), ToAnonymous():
                return self._same_anonymous(before, after)
        return before == after

    def _same_private(self, before: Unit, after: Unit) -> bool:
        return (
            self._original.view.is_private(before)
            and self._patched.view.is_private(after)
            and base(before.name) == base(after.name)
            and self.same_data(before, after)
        )

    def _same_anonymous(self, before: ToAnonymous, after: ToAnonymous) -> bool:
        mine, theirs = self._original.view, self._patched.view
        if mine.obj.sections[before.section].name != theirs.obj.sections[after.section].name:
            return False
        left, right = anonymous_range(mine, before), anonymous_range(theirs, after)
        return before.offset - left[0] == after.offset - right[0] and self._same_range(
            (before.section, *left), (after.section, *right)
        )

    def _same_entries(self, before: tuple[int, int, int], after: tuple[int, int, int]) -> bool:
        if not self._original.view.obj.sections[before[0]].is_code:
            return True
        left, right = self._original.entries.within(*before), self._patched.entries.within(*after)
        return len(left) == len(right) and all(
            a.place - before[1] == b.place - after[1] and self._same_entry(a, b)
            for a, b in zip(_sorted(left), _sorted(right), strict=True)
        )

    def _same_entry(self, before: Entry, after: Entry) -> bool:
        if before.special != after.special:
            return False
        mine, theirs = self._original.view, self._patched.view
        left = list(mine.references_in(before.section, before.start, before.end))
        right = list(theirs.references_in(after.section, after.start, after.end))
        data_left = _bytes(mine, before.section, before.start, before.end)
        data_right = _bytes(theirs, after.section, after.start, after.end)
        if masked(data_left, left) != masked(data_right, right) or len(left) != len(right):
            return False
        # The first reference is the place, which the caller has compared.
        for a, b in zip(left[1:], right[1:], strict=True):
            if before.special.name == ALTINSTRUCTIONS:
                if not isinstance(a.target, ToAnonymous) or not isinstance(b.target, ToAnonymous):
                    return False
                here, there = replacement(mine, before, a.target), replacement(theirs, after, b.target)
                if not self._same_range((a.target.section, *here), (b.target.section, *there)):
                    return False
            elif not self._same_reference(a, b):
                return False
        return True


def masked(data: bytes, references: Iterable[Reference]) -> bytes:
    """`data` with zeros in the relocated fields."""
    result = bytearray(data)
    for reference in references:
        size = TYPES[reference.type].size
        result[reference.offset : reference.offset + size] = bytes(size)
    return bytes(result)


def _bytes(view: View, section: int, start: int, end: int) -> bytes:
    held = view.obj.sections[section]
    return bytes(end - start) if held.type == SHT_NOBITS else held.data[start:end]


def _sorted(entries: list[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: (entry.special.name, entry.place, entry.start))


def _owner(view: View, cold: Unit) -> Unit | None:
    return next(iter(view.by_name.get(parent(cold.name), ())), None)


def _is_once_only(section: Section) -> bool:
    return section.name.startswith(ONCE_ONLY)


def holds_labels(view: View, unit: Unit) -> bool:
    """A constant that refers into the middle of functions: a table for computed jumps (``&&label``)."""
    return not view.section(unit).flags & SHF_WRITE and any(
        isinstance(reference.target, ToUnit) and reference.target.unit.is_function and reference.target.offset
        for reference in view.references(unit)
    )


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


def _refuse_unreachable(original: Side, patched: Side, before: Unit, after: Unit) -> None:
    for section in (original.view.section(before), patched.view.section(after)):
        if _is_once_only(section):
            kind = EXIT_FUNCTION_CHANGED if section.name.startswith(".exit.") else INIT_FUNCTION_CHANGED
            raise Refusal(kind, patched.view.obj.name, f"{after.name}() is in {section.name}")
    hooks = ("__mcount_loc", "__patchable_function_entries")
    entries = original.entries.within(before.section, before.start, before.end)
    if not any(entry.special.name in hooks for entry in entries):
        raise Refusal(FUNCTION_NOT_TRACEABLE, patched.view.obj.name, f"{after.name}() has no fentry call")
