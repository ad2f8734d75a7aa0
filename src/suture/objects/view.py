# SPDX-License-Identifier: GPL-2.0-or-later
"""An object file as units and the references between them.

A unit is a range of a section that a function or data symbol names.  Objects are compiled with one
section per function and datum, but code with ``__section()``, ``noinstr`` or ``__init`` shares a
section: kernel/locking/mutex.c has all of its locking functions in ``.sched.text``.  For most local
symbols, the assembler writes section symbol + offset; `View` turns that back into the unit.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush
from typing import NamedTuple

from suture.arch.decoding import CodeFields
from suture.arch.relocations import RelocationType
from suture.elf.object import (
    SHF_MERGE,
    SHF_WRITE,
    SHN_ABS,
    SHT_NOBITS,
    STB_LOCAL,
    STT_FUNC,
    STT_OBJECT,
    STT_SECTION,
    ObjectFile,
    Relocation,
    Section,
    Symbol,
)
from suture.errors import RELOCATION_UNSUPPORTED, SYMBOL_UNSUPPORTED, Refusal
from suture.objects import locals, neighbours

OVERLAP = 4
"""Limit of the total size of a section's units, in sizes of the section."""

WIDEST = 64
"""Bytes of the widest constant that a processor has a register for, and GCC a mergeable section."""

DECODED = 4096
"""Of how many ranges of code the instructions are kept; they take more memory than all else."""

LITERAL_BYTES = 128 << 20
"""Limit of the bytes of all strings of one object, each counted from where a reference leads."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A function or datum: ``[start, end)`` of `section`.

    :ivar name: its symbol's name; of several at one place the first, local ones before global ones.
    :ivar aliases: the other names: arch/x86/lib/memcpy_64.S has ``memcpy`` for ``__memcpy``.
    :ivar is_local: no other object file can name it.
    """

    name: str
    aliases: tuple[str, ...]
    section: int
    start: int
    end: int
    is_function: bool
    is_local: bool

    def __hash__(self) -> int:
        # Units are looked up all the time; hashing all that equality compares would cost more than
        # the rest.
        return hash((self.section, self.start, self.name))

    @property
    def names(self) -> tuple[str, ...]:
        """The unit's name and its aliases."""
        return (self.name, *self.aliases)

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self.end - self.start


class ToUnit(NamedTuple):
    """Refers to `offset` bytes into a unit of the same object; the offset may lead outside
    (``array[index - bias]``)."""

    unit: Unit
    offset: int


class ToUndefined(NamedTuple):
    """Refers to a symbol that another object defines."""

    name: str
    offset: int


class ToLiteral(NamedTuple):
    """Refers into a string or constant that the linker may merge with equal ones, so that its
    content alone identifies it.

    :ivar content: the string, or its rest from where the reference leads; or the whole constant.
    :ivar offset: into `content`; may lead out of it (the end of a loop over a string).
    """

    section: int
    content: bytes
    offset: int


class ToAnonymous(NamedTuple):
    """Refers into a section in which no symbol names the place (pieces of alternatives,
    compiler-made tables)."""

    section: int
    offset: int


class ToAbsolute(NamedTuple):
    """Refers to a number."""

    value: int


Target = ToUnit | ToUndefined | ToLiteral | ToAnonymous | ToAbsolute


class Reference(NamedTuple):
    """A relocation and its target.

    :ivar offset: of the field, from the start of the requested range.
    :ivar bias: the difference between the offset from the target's symbol and the addend.  A
        PC-relative field of an instruction counts from the instruction's end (or on other
        architectures its start), and the assembler puts the distance into the addend: ``call f``
        has the addend -4 and the bias 4.  In data it counts from the field.
    :ivar is_branch: it is a call or jump; otherwise code takes the target's address.
    :ivar is_call: it is a call.
    """

    offset: int
    type: int
    kind: RelocationType
    target: Target
    bias: int
    is_branch: bool
    is_call: bool


class _Aim(NamedTuple):
    """The part of a target that is the same for all references to a symbol.

    :ivar undefined: the symbol's name if another object defines it.
    :ivar whole: the unit that has the section for itself, if one has.
    :ivar literals: the section, if it holds strings or constants that may be merged.
    """

    undefined: str | None
    section: int
    value: int
    is_section: bool
    whole: Unit | None
    literals: Section | None


class View:
    """One object file, read as units and references.

    :raises Refusal: ``relocation-unsupported``, ``symbol-unsupported``
    """

    def __init__(self, obj: ObjectFile) -> None:
        self.obj = obj
        self.units: tuple[Unit, ...] = tuple(_units(obj))
        self._by_section: dict[int, list[Unit]] = defaultdict(list)
        for unit in sorted(self.units, key=lambda u: (u.section, u.start, u.end)):
            self._by_section[unit.section].append(unit)
        _refuse_overlaps(obj, self._by_section)
        self._starts = {
            section: [u.start for u in units] for section, units in self._by_section.items()
        }
        self._covered = {section: _innermost(units) for section, units in self._by_section.items()}
        self._literals: dict[tuple[int, int], bytes] = {}
        self._literal_bytes = 0
        self._codes: dict[tuple[int, int, int], CodeFields] = {}
        self._types = obj.arch.relocations.types
        self._relocations = neighbours.relocated(obj)
        self._offsets: dict[int, list[int]] = {}
        self._aims: list[_Aim | None] = [None] * len(obj.symbols)

    @cached_property
    def by_name(self) -> dict[str, tuple[Unit, ...]]:
        """The units of each name, aliases included."""
        found: dict[str, list[Unit]] = defaultdict(list)
        for unit in self.units:
            for name in (unit.name, *unit.aliases):
                found[name].append(unit)
        return {name: tuple(units) for name, units in found.items()}

    def section(self, unit: Unit) -> Section:
        """Return the section that holds a unit."""
        return self.obj.sections[unit.section]

    def data(self, unit: Unit) -> bytes:
        """Return a unit's bytes; zeros for ``SHT_NOBITS``."""
        section = self.section(unit)
        return (
            bytes(unit.size) if section.type == SHT_NOBITS else section.data[unit.start : unit.end]
        )

    def is_private(self, unit: Unit) -> bool:
        """Whether the compiler or a macro made a variable for the code around it
        (`suture.objects.locals.PRIVATE`)."""
        section = self.section(unit)
        return not unit.is_function and locals.is_private(
            unit.name, section.name, bool(section.flags & SHF_WRITE)
        )

    def units_in(self, section: int) -> list[Unit]:
        """Return the units of a section, by address."""
        return self._by_section.get(section, [])

    def unit_at(self, section: int, offset: int) -> Unit | None:
        """Return the unit at an offset of a section, or None.

        The end of a section's last unit counts as that unit's: ORC has an entry there.  Where a
        section is one unit's alone, every offset is that unit's: GCC writes ``.rodata.table - 8``
        for ``table[index - 1]``.
        """
        units = self._by_section.get(section)
        if not units:
            return None
        if len(units) == 1 and units[0].start == 0:
            return units[0]
        position = bisect_right(self._starts[section], offset) - 1
        if position < 0:
            return None
        unit = units[position]
        if offset == unit.start or (position == len(units) - 1 and offset == unit.end):
            return unit
        # A unit without size may be inside another.
        borders, inside = self._covered[section]
        return inside[bisect_right(borders, offset) - 1]

    @cached_property
    def _anonymous(self) -> dict[int, list[int]]:
        """The offsets, ascending, that code refers to in sections where no symbol names them."""
        found: dict[int, set[int]] = defaultdict(set)
        for unit in self.units:
            for reference in self.references(unit) if self.section(unit).is_code else ():
                if isinstance(reference.target, ToAnonymous):
                    found[reference.target.section].add(reference.target.offset)
        for section, offset in self._led_to_by_exceptions():
            found[section].add(offset)
        return {section: sorted(offsets) for section, offsets in found.items()}

    def _led_to_by_exceptions(self) -> Iterator[tuple[int, int]]:
        """Yield section and offset of unnamed code to which exceptions lead: ``.fixup`` of kernels
        before 5.16."""
        outlined = self.obj.arch.sections.outlined
        for index, section in enumerate(self.obj.sections):
            if section.name != "__ex_table":
                continue
            for relocation in self.relocations(index, 0, section.size):
                place = self.place(relocation, index)
                if place is not None and outlined.get(self.obj.sections[place[0]].name):
                    yield place

    def following(self, target: ToAnonymous) -> int:
        """Return the next offset in the same section that code refers to, or the section's end."""
        offsets = self._anonymous.get(target.section, [])
        position = bisect_right(offsets, target.offset)
        return (
            offsets[position] if position < len(offsets) else self.obj.sections[target.section].size
        )

    def relocations(self, section: int, start: int, end: int) -> tuple[Relocation, ...]:
        """Return the relocations of ``[start, end)`` of a section, by offset."""
        all_of_it = self._relocations.get(section, ())
        if start <= 0 and end >= self.obj.sections[section].size:
            return all_of_it
        if section not in self._offsets:
            self._offsets[section] = [relocation.offset for relocation in all_of_it]
        offsets = self._offsets[section]
        first = bisect_left(offsets, start)
        return all_of_it[first : bisect_left(offsets, end, first)]

    def references(self, unit: Unit) -> Iterator[Reference]:
        """Yield a unit's references, by offset into it."""
        return self.references_in(unit.section, unit.start, unit.end)

    def references_in(self, section: int, start: int, end: int) -> Iterator[Reference]:
        """Yield the references of ``[start, end)`` of a section, by offset.

        In code, `start` must be the start of an instruction.

        :raises Refusal: ``relocation-unsupported``, ``symbol-unsupported``
        """
        code = self._code(section, start, end) if self.obj.sections[section].is_code else None
        types = self._types
        for place, number, symbol, addend in self.relocations(section, start, end):
            kind = types.get(number)
            if kind is None:
                raise self._unsupported(section, place, number)
            if not kind.size:
                continue
            offset = place - start
            if code is None:
                target = self._target(symbol, addend)
                yield Reference(offset, number, kind, target, 0, False, False)
            else:
                _, _, origin, is_branch, is_call = code.at(offset)
                bias = origin - offset if kind.pc_relative else 0
                target = self._target(symbol, addend + bias)
                yield Reference(offset, number, kind, target, bias, is_branch, is_call)

    def _unsupported(self, section: int, place: int, number: int) -> Refusal:
        where = f"{self.obj.name}: {self.obj.sections[section].name}+{place:#x}"
        return Refusal(RELOCATION_UNSUPPORTED, where, f"has type {number}")

    def place(self, relocation: Relocation, section: int) -> tuple[int, int] | None:
        """Return the section and offset that a relocation of data leads to, if in this object.

        :param section: the section that the relocation applies to.
        :raises Refusal: ``relocation-unsupported``, ``symbol-unsupported``
        """
        kind = self._types.get(relocation.type)
        if kind is None:
            raise self._unsupported(section, relocation.offset, relocation.type)
        target = self._target(relocation.symbol, relocation.addend)
        match target if kind.size else None:
            case ToUnit(unit, offset):
                return unit.section, unit.start + offset
            case ToAnonymous(index, offset):
                return index, offset
            case _:
                return None

    def _code(self, section: int, start: int, end: int) -> CodeFields:
        key = (section, start, end)
        if key not in self._codes:
            if len(self._codes) == DECODED:
                self._codes.clear()
            decoding = self.obj.arch.decoding
            self._codes[key] = decoding.fields(self.obj.sections[section].data[start:end])
        return self._codes[key]

    def _target(self, symbol: int, offset: int) -> Target:
        aim = self._aims[symbol]
        if aim is None:
            aim = self._aims[symbol] = self._aim(self.obj.symbols[symbol])
        if aim.undefined is not None:
            return ToUndefined(aim.undefined, offset)
        place = aim.value + offset
        if aim.whole is not None:
            return ToUnit(aim.whole, place)
        if aim.section == SHN_ABS:
            return ToAbsolute(place)
        start = place if aim.is_section else aim.value
        if aim.literals is not None:
            return self._literal(aim.literals, aim.section, start, place - start)
        # A named symbol identifies its unit even where the offset leads out of it: the assembler
        # writes "table - 8", with the symbol of a global table, for table[index - 1].
        unit = self.unit_at(aim.section, start)
        if unit is None:
            return ToAnonymous(aim.section, place)
        return ToUnit(unit, place - unit.start)

    def _aim(self, symbol: Symbol) -> _Aim:
        if symbol.is_undefined:
            return _Aim(symbol.name, 0, 0, False, None, None)
        if symbol.shndx == SHN_ABS:
            return _Aim(None, SHN_ABS, symbol.value, False, None, None)
        if not symbol.is_defined_here:
            raise Refusal(
                SYMBOL_UNSUPPORTED,
                self.obj.name,
                f"{symbol.name} has section index {symbol.shndx:#x}",
            )
        section, units = self.obj.sections[symbol.shndx], self.units_in(symbol.shndx)
        whole = units[0] if len(units) == 1 and not units[0].start else None
        merged = section.flags & SHF_MERGE and 0 < section.entsize <= WIDEST and not units
        is_section = symbol.type == STT_SECTION
        literals = section if merged else None
        return _Aim(None, symbol.shndx, symbol.value, is_section, whole, literals)

    def _literal(self, section: Section, index: int, start: int, offset: int) -> Target:
        """Return a target in a section of strings or constants.

        For example, ``show_val_kb(m, "MemTotal:       ", ...)`` refers to ``.rodata.str1.1`` and an
        offset, which any change to another string of the file moves.

        :param start: the start of the string or constant, or a place in it; `offset`: from there.
        """
        if not 0 <= start < len(section.data):
            return ToAnonymous(index, start + offset)
        whole = start if section.is_strings else start - start % section.entsize
        if (index, whole) not in self._literals:
            self._literals[index, whole] = content = _held(section, whole)
            self._literal_bytes += len(content)
            if self._literal_bytes > LITERAL_BYTES:
                raise Refusal(
                    SYMBOL_UNSUPPORTED,
                    f"{self.obj.name}: {section.name}",
                    "its strings overlap each other",
                )
        return ToLiteral(index, self._literals[index, whole], start + offset - whole)


def _units(obj: ObjectFile) -> Iterator[Unit]:
    ranges: dict[tuple[int, int, bool], list[Symbol]] = defaultdict(list)
    for _, symbol in obj.symbols_of_type(STT_FUNC, STT_OBJECT):
        ranges[symbol.shndx, symbol.value, symbol.type == STT_FUNC].append(symbol)
    for (shndx, value, is_function), symbols in ranges.items():
        symbols.sort(key=lambda s: s.bind != STB_LOCAL)
        size = max(symbol.size for symbol in symbols)
        yield Unit(
            name=symbols[0].name,
            aliases=tuple(symbol.name for symbol in symbols[1:]),
            section=shndx,
            start=value,
            end=value + size,
            is_function=is_function,
            is_local=all(symbol.bind == STB_LOCAL for symbol in symbols),
        )


def _innermost(units: list[Unit]) -> tuple[list[int], list[Unit | None]]:
    """Return ascending offsets, and the unit from each of them up to the next; of several units
    the one that starts last.

    :param units: of one section, by start and end.
    """
    borders = sorted({0, *(unit.start for unit in units), *(unit.end for unit in units)})
    inside: list[Unit | None] = []
    open_units: list[int] = []  # a heap of negative indices
    following = 0
    for border in borders:
        while following < len(units) and units[following].start <= border:
            heappush(open_units, -following)
            following += 1
        while open_units and units[-open_units[0]].end <= border:
            heappop(open_units)
        inside.append(units[-open_units[0]] if open_units else None)
    return borders, inside


def _refuse_overlaps(obj: ObjectFile, by_section: Mapping[int, list[Unit]]) -> None:
    """Refuse an object with too many symbols for the same bytes.

    A function may have a second entry, but no compiler makes thousands of symbols for one range.
    """
    for section, units in by_section.items():
        if sum(unit.size for unit in units) > OVERLAP * obj.sections[section].size:
            where = f"{obj.name}: {obj.sections[section].name}"
            raise Refusal(SYMBOL_UNSUPPORTED, where, f"{len(units)} symbols overlap each other")


def _held(section: Section, start: int) -> bytes:
    """Return the string or constant at an offset."""
    width = section.entsize
    if not section.is_strings:
        return section.data[start : start + width]
    end = section.data.find(bytes(width), start)
    while end >= 0 and (end - start) % width:  # the terminator is one character
        end = section.data.find(bytes(width), end + 1)
    return section.data[start : end + width if end >= 0 else len(section.data)]
