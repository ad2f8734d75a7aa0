# SPDX-License-Identifier: GPL-2.0-or-later
"""Comparison of functions, data and sections of the original and the patched object.

Two functions are the same if their bytes are equal outside relocated fields, if the fields refer to
the same things, and if their entries in special sections are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import eq

from suture.diff.correlate import Correlation
from suture.diff.line_numbers import (
    same_but_lines,
    without_line,
    without_reported_line,
)
from suture.elf.object import SHT_NOBITS, ObjectFile
from suture.errors import ENTRY_MALFORMED, Refusal
from suture.objects.locals import base, report
from suture.objects.once_only import ONCE_ONLY as ONCE_ONLY
from suture.objects.once_only import is_once_only as is_once_only
from suture.objects.special import Entries, SpecialEntry, replacement
from suture.objects.view import Reference, Target, ToAnonymous, ToLiteral, ToUnit, Unit, View

DEEPEST = 50
"""How many levels of private data are compared; macros and compilers make no more than three."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two objects."""

    view: View
    entries: Entries

    @classmethod
    def of(cls, obj: ObjectFile, entry_sizes: Mapping[str, int]) -> Side:
        """Read an object.

        :param entry_sizes: special section -> size of its entries in bytes.
        """
        view = View(obj)
        return cls(view, Entries(view, entry_sizes))


def anonymous_range(view: View, target: ToAnonymous) -> tuple[int, int]:
    """Return the part of a section without symbols that a reference means.

    Code in ``.altinstr_aux``, to which alternatives branch, and in ``.fixup``, to which exceptions
    lead, is only entered where references lead, so it is cut there.  Of any other section, as a
    ``.rodata`` with a switch table, it is all.

    :raises Refusal: ``entry-malformed``
    """
    section = view.obj.sections[target.section]
    if section.name not in view.obj.arch.sections.outlined:
        return 0, section.size
    if not 0 <= target.offset <= section.size:
        raise Refusal(
            ENTRY_MALFORMED, view.obj.name, f"code refers to {target.offset:+#x} in {section.name}"
        )
    return target.offset, view.following(target)


class Comparison:
    """Compares units of the two objects, and remembers assumed pairs, so that circles of references
    end.

    :param lines_count: a function that passes on other line numbers is another function.
    """

    def __init__(
        self,
        original: Side,
        patched: Side,
        correlation: Correlation,
        *,
        lines_count: bool = True,
    ) -> None:
        self._lines_count = lines_count
        self.original = original
        self.patched = patched
        self.correlation = correlation
        # In the order in which they were assumed: the assumptions of a failed comparison are
        # dropped with it.
        self._assumed: dict[tuple[tuple[int, int, int], tuple[int, int, int]], None] = {}
        self._depth = 0
        self._alternatives = original.view.obj.arch.sections.alternatives.entries

    def same_function(self, before: Unit, after: Unit) -> bool:
        """Whether two functions have the same code, references and special section entries."""
        mine, theirs = self.original.view, self.patched.view
        return (
            before.size == after.size
            and is_once_only(mine.section(before)) == is_once_only(theirs.section(after))
            and self._same_range(
                (before.section, before.start, before.end), (after.section, after.start, after.end)
            )
        )

    def same_data(self, before: Unit, after: Unit) -> bool:
        """Whether two variables have the same contents and the same kind of section."""
        mine, theirs = self.original.view.section(before), self.patched.view.section(after)
        return (
            before.size == after.size
            and (mine.flags, mine.type == SHT_NOBITS) == (theirs.flags, theirs.type == SHT_NOBITS)
            and self._same_range(
                (before.section, before.start, before.end), (after.section, after.start, after.end)
            )
        )

    def same_contents(self, before: Unit, after: Unit) -> bool:
        """Whether two variables have the same contents, wherever they are.

        One without contents in its file (``SHT_NOBITS``) holds zeros.
        """
        sides = (self.original.view, before), (self.patched.view, after)
        plain = [view.section(unit).type == SHT_NOBITS for view, unit in sides]
        if plain[0] == plain[1]:
            ranges = [(unit.section, unit.start, unit.end) for _, unit in sides]
            return before.size == after.size and self._same_range(ranges[0], ranges[1])
        view, unit = sides[plain[0]]
        return (
            before.size == after.size and not any(view.data(unit)) and not [*view.references(unit)]
        )

    def same_section(self, before: int, after: int) -> bool:
        """Whether two whole sections, by their indices, have the same contents."""
        sizes = (
            self.original.view.obj.sections[before].size,
            self.patched.view.obj.sections[after].size,
        )
        return sizes[0] == sizes[1] and self._same_range(
            (before, 0, sizes[0]), (after, 0, sizes[1])
        )

    def _same_range(self, before: tuple[int, int, int], after: tuple[int, int, int]) -> bool:
        """Whether two ranges of sections are the same, or are being compared already.

        :param before: section, start and end in the original; `after`: in the patched object.
        """
        key = (before, after)
        if key in self._assumed:
            return True
        if self._depth == DEEPEST:
            return False
        known = len(self._assumed)
        self._assumed[key] = None
        self._depth += 1
        same = self._same_bytes(before, after) and self._same_entries(before, after)
        self._depth -= 1
        while not same and len(self._assumed) > known:
            self._assumed.popitem()
        return same

    def _same_bytes(self, before: tuple[int, int, int], after: tuple[int, int, int]) -> bool:
        mine, theirs = self.original.view, self.patched.view
        if mine.obj.sections[before[0]].type == theirs.obj.sections[after[0]].type == SHT_NOBITS:
            return before[2] - before[1] == after[2] - after[1]  # zeros, and they can be many
        left, right = list(mine.references_in(*before)), list(theirs.references_in(*after))
        data, other = _bytes(mine, *before), _bytes(theirs, *after)
        if not self._lines_count and report(mine.obj.sections[before[0]].name):
            data, other = without_reported_line(data), without_reported_line(other)
        return (
            len(left) == len(right)
            and (
                _same_masked(data, left, other, right)
                or self._same_but_lines(before, left, after, right)
            )
            and all(map(self.same_reference, left, right))
        )

    def _same_but_lines(
        self,
        before: tuple[int, int, int],
        left: Sequence[Reference],
        after: tuple[int, int, int],
        right: Sequence[Reference],
    ) -> bool:
        mine = self.original.view
        return (
            not self._lines_count
            and mine.obj.sections[before[0]].is_code
            and same_but_lines(
                mine.obj.arch,
                masked(_bytes(mine, *before), left),
                left,
                masked(_bytes(self.patched.view, *after), right),
                right,
            )
        )

    def same_reference(self, before: Reference, after: Reference) -> bool:
        """Whether two references have the same place, type and target."""
        return (before.offset, before.type) == (after.offset, after.type) and self._same_target(
            before.target, after.target
        )

    def _same_target(self, before: Target, after: Target) -> bool:
        match before, after:
            case ToUnit(left, here), ToUnit(right, there):
                return here == there and (
                    self.correlation.has(left, right) or self._same_private(left, right)
                )
            case ToLiteral(_, left_bytes, here), ToLiteral(_, right_bytes, there):
                return (left_bytes, here) == (right_bytes, there)
            case ToAnonymous(), ToAnonymous():
                return self._same_anonymous(before, after)
        return before == after

    def _same_private(self, before: Unit, after: Unit) -> bool:
        """Whether two variables that macros or the compiler made have the same contents.

        Example: ``loop.ko`` has ``__key.26`` and ``__key.27``.  If a patch adds a ``mutex_init()``
        to the file, they get other numbers; functions that refer to them do not change by that.
        """
        return (
            self.original.view.is_private(before)
            and self.patched.view.is_private(after)
            and base(before.name) == base(after.name)
            and self.same_data(before, after)
        )

    def _same_anonymous(self, before: ToAnonymous, after: ToAnonymous) -> bool:
        mine, theirs = self.original.view, self.patched.view
        names = mine.obj.sections[before.section].name, theirs.obj.sections[after.section].name
        if len({report(name) or name for name in names}) > 1:
            return False
        here = self.original.entries.starting_at(before.section, before.offset)
        there = self.patched.entries.starting_at(after.section, after.offset)
        if here is not None and there is not None:
            return self._same_code(here, there) and self._same_entry(here, there)
        left, right = anonymous_range(mine, before), anonymous_range(theirs, after)
        return before.offset - left[0] == after.offset - right[0] and self._same_range(
            (before.section, *left), (after.section, *right)
        )

    def _same_entries(self, before: tuple[int, int, int], after: tuple[int, int, int]) -> bool:
        """Whether two ranges of code have the same entries in special sections.

        Example: a patch turns a ``WARN_ON()`` into ``WARN_ON_ONCE()`` (include/asm-generic/bug.h).
        The code is the same to the byte; only the flags in ``__bug_table`` differ.
        """
        if not self.original.view.obj.sections[before[0]].is_code:
            return True
        if not self._same_constants(before, after):
            return False
        left, right = self.original.entries.within(*before), self.patched.entries.within(*after)
        return len(left) == len(right) and all(
            a.place - before[1] == b.place - after[1] and self._same_entry(a, b)
            for a, b in zip(_sorted(left), _sorted(right), strict=True)
        )

    def _same_constants(self, before: tuple[int, int, int], after: tuple[int, int, int]) -> bool:
        """Whether the kernel writes the same constants into two ranges of code at boot."""
        left, right = (
            self.original.entries.constants.within(*before),
            self.patched.entries.constants.within(*after),
        )
        return [(one.place - before[1], one.variable) for one in left] == [
            (one.place - after[1], one.variable) for one in right
        ]

    def _same_code(self, before: SpecialEntry, after: SpecialEntry) -> bool:
        """Whether two entries are about the same place of the same function."""
        places = (
            next(side.view.references_in(entry.section, entry.start, entry.end)).target
            for side, entry in ((self.original, before), (self.patched, after))
        )
        return self._same_target(next(places), next(places))

    def _same_entry(self, before: SpecialEntry, after: SpecialEntry) -> bool:
        if before.special != after.special:
            return False
        mine, theirs = self.original.view, self.patched.view
        left = list(mine.references_in(before.section, before.start, before.end))
        right = list(theirs.references_in(after.section, after.start, after.end))
        data_left = _bytes(mine, before.section, before.start, before.end)
        data_right = _bytes(theirs, after.section, after.start, after.end)
        if not self._lines_count:
            data_left = without_line(before.special.name, data_left)
            data_right = without_line(after.special.name, data_right)
        if len(left) != len(right) or not _same_masked(data_left, left, data_right, right):
            return False
        # The first reference is the place, which the caller has compared.
        for a, b in zip(left[1:], right[1:], strict=True):
            if before.special.name == self._alternatives:
                if not isinstance(a.target, ToAnonymous) or not isinstance(b.target, ToAnonymous):
                    return False
                here, there = (
                    replacement(mine, before, a.target),
                    replacement(theirs, after, b.target),
                )
                if not self._same_range((a.target.section, *here), (b.target.section, *there)):
                    return False
            elif not self.same_reference(a, b):
                return False
        return True


def _same_masked(
    data: bytes, references: Sequence[Reference], other: bytes, others: Sequence[Reference]
) -> bool:
    """Whether two ranges have the same bytes outside relocated fields."""
    fields = ((one.offset, one.type) for one in references)
    if data == other and all(map(eq, fields, ((one.offset, one.type) for one in others))):
        return True  # as nearly always: the assembler leaves zeros in relocated fields
    return masked(data, references) == masked(other, others)


def masked(data: bytes, references: Iterable[Reference]) -> bytes:
    """Return `data` with zeros in the relocated fields."""
    result = bytearray(data)
    for reference in references:
        reference.kind.blank(result, reference.offset)
    return bytes(result)


def _bytes(view: View, section: int, start: int, end: int) -> bytes:
    held = view.obj.sections[section]
    return bytes(end - start) if held.type == SHT_NOBITS else held.data[start:end]


def _sorted(entries: list[SpecialEntry]) -> list[SpecialEntry]:
    return sorted(entries, key=lambda entry: (entry.special.name, entry.place, entry.start))
