# SPDX-License-Identifier: GPL-2.0-or-later
"""Substitution of a patched object with static branches that read their keys for one with branches
that the kernel rewrites.

One compiler makes both from one source, except for the assembly text of ``arch_static_branch()``.
They have to agree unit by unit and instruction by instruction; where one has an entry in
``__jump_table``, the other has to have a comparison and a conditional jump to the same place.  So
all results about the first object (changes, pairs, callers) hold for the second.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from suture.arch.decoding import Decoding, Instruction
from suture.diff.changes import Pair
from suture.diff.comparison import Side, masked
from suture.diff.correlate import Correlation
from suture.diff.plan import FilePlan
from suture.errors import MODULE_STATIC_KEY, Refusal
from suture.objects.special import JUMP_TABLE, SpecialEntry
from suture.objects.view import (
    Reference,
    Target,
    ToAnonymous,
    ToLiteral,
    ToUndefined,
    ToUnit,
    Unit,
    View,
)

FLAGS = 3
"""Bits of ``jump_entry.key`` that are not part of the address: 1 for `branch`, 2 for objtool
(``include/linux/jump_label.h``)."""


def with_keys_read(plan: FilePlan, reading: Side) -> FilePlan:
    """Return the same plan for another patched object.

    :param reading: the patched object with static branches that read their keys.
    :raises Refusal: ``module-static-key`` where the two patched objects differ in anything else
    """
    changes = plan.changes
    twins = _Twins(changes.patched, reading)
    twins.check()
    twin = twins.twin

    def with_twins(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
        """Exchange the patched units of pairs for their twins."""
        return tuple((before, twin[after]) for before, after in pairs)

    calls = tuple(replace(hook, function=twin[hook.function]) for hook in changes.hooks.calls)
    original_of = {twin[after]: before for after, before in changes.correlation.original.items()}
    return FilePlan(
        changes=replace(
            changes,
            patched=reading,
            correlation=Correlation(original_of),
            changed=with_twins(changes.changed),
            provided=tuple(twin[unit] for unit in changes.provided),
            published=with_twins(changes.published),
            hooks=replace(changes.hooks, calls=calls),
        ),
        replaced=with_twins(plan.replaced),
        carried=with_twins(plan.carried),
        provided=tuple(twin[unit] for unit in plan.provided),
        published=with_twins(plan.published),
    )


@dataclass(frozen=True, slots=True)
class _Pair:
    """Corresponding instructions of both sides.

    :ivar entry: an entry of ``__jump_table`` about `left`; `right` is then a comparison, and `jump`
        follows it.
    """

    left: Instruction
    right: Instruction
    entry: SpecialEntry | None = None
    jump: Instruction | None = None


@dataclass(slots=True)
class _InstructionsAhead:
    """The instructions of a function, taken one by one.

    :ivar number: of the next one.
    """

    decoding: Decoding
    data: bytes
    instructions: Sequence[Instruction]
    number: int = 0

    @classmethod
    def of(cls, view: View, unit: Unit) -> _InstructionsAhead:
        """Decode a function."""
        decoding, data = view.obj.arch.decoding, view.data(unit)
        return cls(decoding, data, list(decoding.instructions(data)))

    @property
    def ahead(self) -> Instruction | None:
        """The next one, without taking it; None at the end."""
        at_end = self.number >= len(self.instructions)
        return None if at_end else self.instructions[self.number]

    @property
    def bytes_ahead(self) -> bytes:
        """Its bytes; none at the end."""
        one = self.ahead
        return b"" if one is None else self.data[one.start : one.end]

    def take(self) -> Instruction | None:
        """Return the next one, and go on."""
        one = self.ahead
        self.number += 1
        return one

    def skip_no_ops(self, kept: Container[int] = ()) -> None:
        """Go on to one that is not a no-op, or that begins at one of the offsets `kept`."""
        while (one := self.ahead) is not None and one.start not in kept:
            if not self.decoding.is_no_op(self.bytes_ahead):
                return
            self.number += 1


class _Twins:
    """Two objects, unit for unit: left with ``__jump_table``, right the one that reads keys."""

    def __init__(self, left: Side, right: Side) -> None:
        self._entries = left.entries
        self._left, self._right = left.view, right.view
        self._arch = left.view.obj.arch
        left_units, right_units = (_described(view) for view in (self._left, self._right))
        if left_units.keys() != right_units.keys() or any(
            len(units) != len(right_units[what]) for what, units in left_units.items()
        ):
            raise self._differs("other functions and variables")
        # GCC 14 may put functions in another order.
        twins: dict[Unit, Unit] = {}
        for what, units in left_units.items():
            twins.update(zip(units, right_units[what], strict=True))
        self.twin: Mapping[Unit, Unit] = twins
        self._pairs: dict[Unit, list[_Pair]] = {}
        self._places: dict[Unit, dict[int, int]] = {}

    def check(self) -> None:
        """Compare all code and data.

        :raises Refusal: ``module-static-key``
        """
        code = [unit for unit in self.twin if unit.is_function and self._left.section(unit).is_code]
        for unit in code:
            self._pair_up(unit)
        for unit in code:
            left = {ref.offset: ref for ref in self._left.references(unit)}
            right = {ref.offset: ref for ref in self._right.references(self.twin[unit])}
            if not all(
                self._same_instruction(unit, pair, left, right) for pair in self._pairs[unit]
            ):
                raise self._differs(f"another {unit.name}()")
        for unit in self.twin.keys() - set(code):
            if self._left.section(unit).is_allocated and not self._same_data(unit):
                raise self._differs(f"another {unit.name}")

    def _differs(self, what: str) -> Refusal:
        found = f"with static branches that read their keys, the compiler makes {what}"
        return Refusal(MODULE_STATIC_KEY, self._right.obj.name, found)

    def _pair_up(self, unit: Unit) -> None:
        """Pair the instructions of a function with those of its twin.

        :raises Refusal: ``module-static-key``
        """
        left, right = (
            _InstructionsAhead.of(self._left, unit),
            _InstructionsAhead.of(self._right, self.twin[unit]),
        )
        pairs, places = [], {unit.size: self.twin[unit].size}
        entries = self._entries.within(unit.section, unit.start, unit.end)
        sites = {
            entry.place - unit.start: entry for entry in entries if entry.special.name == JUMP_TABLE
        }
        while left.ahead is not None or right.ahead is not None:
            if left.bytes_ahead != right.bytes_ahead:
                # A loop further on in its function needs other no-ops to be aligned (GCC 14).
                left.skip_no_ops(sites)
                right.skip_no_ops()
            mine, theirs = left.take(), right.take()
            entry = None if mine is None else sites.pop(mine.start, None)
            jump = None if entry is None else right.take()
            if mine is None or theirs is None or (entry is not None and jump is None):
                raise self._differs(f"another {unit.name}()")
            places[mine.start] = theirs.start
            pairs.append(_Pair(mine, theirs, entry, jump))
        if sites:
            raise self._differs(f"another {unit.name}()")
        self._pairs[unit], self._places[unit] = pairs, places

    def _same_instruction(
        self, unit: Unit, pair: _Pair, left: Mapping[int, Reference], right: Mapping[int, Reference]
    ) -> bool:
        mine, theirs = list(_within(pair.left, left)), list(_within(pair.right, right))
        if pair.entry is not None and pair.jump is not None:
            return self._is_branch_on_key(unit, pair.entry, pair.right, pair.jump, theirs, right)
        if len(mine) != len(theirs) or not all(map(self._same_reference, mine, theirs)):
            return False
        if not mine and pair.left.target is not None and pair.right.target is not None:
            target = self._in_right(unit, pair.left.target)
            return pair.left.operation == pair.right.operation and target == (
                self.twin[unit].section,
                self.twin[unit].start + pair.right.target,
            )
        return self._bytes(self._left, unit, pair.left, mine) == self._bytes(
            self._right, self.twin[unit], pair.right, theirs
        )

    def _is_branch_on_key(
        self,
        unit: Unit,
        entry: SpecialEntry,
        compare: Instruction,
        jump: Instruction,
        read: list[Reference],
        right: Mapping[int, Reference],
    ) -> bool:
        """Whether two instructions compare the key with 0 and jump where the kernel would have
        written a jump.

        Example: ``nft_do_chain()`` tests ``nft_counters_enabled``; the no-op that the kernel would
        rewrite becomes a comparison of the key and a conditional jump.
        """
        _, target, key = self._left.references_in(entry.section, entry.start, entry.end)
        if not isinstance(key.target, ToUnit | ToUndefined):
            return False
        code = self._right.data(self.twin[unit])
        taken = self._arch.jump_labels.reads_key(
            code[compare.start : compare.end], code[jump.start : jump.end]
        )
        if taken is None or taken == bool(key.target.offset & 1) or len(read) != 1:
            return False
        plain = key.target.offset & ~FLAGS
        wanted: Target
        if isinstance(key.target, ToUnit):
            wanted = ToUnit(self.twin[key.target.unit], plain)
        else:
            wanted = ToUndefined(key.target.name, plain)
        return read[0].target == wanted and self._leads_to(
            unit, jump, list(_within(jump, right)), target.target
        )

    def _leads_to(
        self, unit: Unit, jump: Instruction, fields: list[Reference], target: Target
    ) -> bool:
        """Whether a jump of the right side leads to the counterpart of `target` on the left."""
        if fields:
            return self._same_target(target, fields[0].target)
        if not isinstance(target, ToUnit) or jump.target is None:
            return False
        place = self._in_right(target.unit, target.offset)
        return place == (self.twin[unit].section, self.twin[unit].start + jump.target)

    def _in_right(self, unit: Unit, offset: int) -> tuple[int, int] | None:
        """Return the right section and offset that an offset in a left function corresponds to."""
        if not 0 <= offset < unit.size:  # a neighbour in the same section
            neighbour = self._left.unit_at(unit.section, unit.start + offset)
            if neighbour is None:
                return None
            unit, offset = neighbour, unit.start + offset - neighbour.start
        place = self._places.get(unit, {}).get(offset)
        return None if place is None else (self.twin[unit].section, self.twin[unit].start + place)

    def _same_reference(self, left: Reference, right: Reference) -> bool:
        return left.type == right.type and self._same_target(left.target, right.target)

    def _same_target(self, left: Target, right: Target) -> bool:
        match left, right:
            case ToUnit(unit, here), ToUnit(other, there):
                return other == self.twin[unit] and there == self._places.get(unit, {}).get(
                    here, here
                )
            case ToLiteral(_, content, here), ToLiteral(_, others, there):
                return (content, here) == (others, there)
            case ToAnonymous(section, here), ToAnonymous(other_section, there):
                names = (
                    self._left.obj.sections[section].name,
                    self._right.obj.sections[other_section].name,
                )
                return names[0] == names[1] and here == there
        return left == right

    def _same_data(self, unit: Unit) -> bool:
        other = self.twin[unit]
        left, right = list(self._left.references(unit)), list(self._right.references(other))
        return (
            masked(self._left.data(unit), left) == masked(self._right.data(other), right)
            and [reference.offset for reference in left]
            == [reference.offset for reference in right]
            and all(map(self._same_reference, left, right))
        )

    @staticmethod
    def _bytes(
        view: View, unit: Unit, instruction: Instruction, fields: list[Reference]
    ) -> tuple[bytes, list[int]]:
        """Return the bytes of an instruction with its fields cleared, and the offsets of those."""
        data = bytearray(view.data(unit)[instruction.start : instruction.end])
        starts = [field.offset - instruction.start for field in fields]
        for start, field in zip(starts, fields, strict=True):
            field.kind.blank(data, start)
        return bytes(data), starts


def _described(view: View) -> Mapping[tuple[object, ...], list[Unit]]:
    """Map each description to the units that have it, in order."""
    found: dict[tuple[object, ...], list[Unit]] = {}
    for unit in view.units:
        found.setdefault(_description(view, unit), []).append(unit)
    return found


def _description(view: View, unit: Unit) -> tuple[object, ...]:
    """Return what twins have in common."""
    section = view.section(unit)
    size = None if unit.is_function else unit.size
    return (
        unit.name,
        unit.aliases,
        unit.is_function,
        unit.is_local,
        section.name,
        section.flags,
        size,
    )


def _within(instruction: Instruction, references: Mapping[int, Reference]) -> Iterator[Reference]:
    for offset in range(instruction.start, instruction.end):
        if offset in references:
            yield references[offset]
