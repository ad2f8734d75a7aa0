# SPDX-License-Identifier: GPL-2.0-or-later
"""Old and new contents of variables that change in memory, as an object of the live patch.

Each variable has a global symbol for a ``struct livepatch_contents`` (link/templates/data.c): four
pointers, to the variable and to three read-only copies of its size.  ``old_value`` holds the
contents in the original object and ``new_value`` those in the patched one, with references resolved
as those of code are.  A byte of ``mask`` is 0 if it is neither compared nor written: unchanged
words of a writable structure, and pointers that lead, before and after the patch, to something
without a name in the running kernel, such as a string.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from suture.diff.changes import Changes
from suture.diff.comparison import masked
from suture.diff.data import DataChange
from suture.diff.escapes import ChangedTable
from suture.diff.object_builder import Builder
from suture.diff.output import Linked, Outside, symbol_name
from suture.elf.object import (
    SHF_ALLOC,
    SHN_ABS,
    SHN_UNDEF,
    SHT_PROGBITS,
    STB_GLOBAL,
    STB_LOCAL,
    STT_NOTYPE,
    STT_OBJECT,
    WORD,
    ObjectFile,
    Relocation,
    Section,
    Symbol,
)
from suture.errors import SYMBOL_UNSUPPORTED, Refusal
from suture.objects.locals import base
from suture.objects.view import Reference, ToAbsolute, ToLiteral, ToUndefined, ToUnit, Unit

SYMBOL = "livepatch_data_"
"""Prefix of the global names under which the glue finds the contents."""


class Lookup(Protocol):
    """Looks up what variables point to in the running kernel, and returns a refusal where it finds
    nothing: the bytes of a pointer that the patch leaves alone need no symbol."""

    def find_defined(self, unit: Unit) -> Outside | Refusal:
        """Return the symbol for a unit of the original object, or the refusal of it."""

    def find_undefined(self, name: str) -> Outside | Refusal:
        """Return the symbol for a name that another object of the kernel defines, or the refusal
        of it."""


@dataclass(frozen=True, slots=True)
class _OwnSection:
    """A section of the object with the contents, by its index."""

    index: int


_Place = tuple[Outside | _OwnSection | int, int]
"""What a reference leads to in the running kernel or the live patch (a number is an absolute
address), and the offset in bytes from there."""


@dataclass(frozen=True, slots=True)
class Contents:
    """An object with contents, and the symbol of each variable of `Changes.data`, in its order."""

    obj: ObjectFile
    symbols: tuple[str, ...]


def contents(
    changes: Changes,
    objname: str,
    lookup: Lookup,
    first: int,
    pointed: Mapping[Unit, str] | None = None,
) -> Contents:
    """Make the object with the contents of all variables of a file.

    :param objname: the object of the kernel that the variables are in.
    :param first: number of the first symbol; symbols must be unique in the module.
    :param pointed: the global names of new functions and variables of the live patch to which the
        variables point.
    :raises Refusal: ``symbol-unsupported``, and those of `lookup`
    """
    maker = _Maker(changes, objname, lookup, pointed or {})
    symbols = tuple(
        maker.add(number, change) for number, change in enumerate(changes.data, start=first)
    )
    return Contents(maker.out.finish(f"{changes.patched.view.obj.name} (data)"), symbols)


def new_values(objects: Iterable[ObjectFile], names: Mapping[str, str]) -> tuple[ChangedTable, ...]:
    """Find the new values of variables.

    :param objects: from `contents`, among others.
    :param names: symbol of the contents -> the variable's name.
    """
    tables = []
    for obj in objects:
        sections = {section.name: index for index, section in enumerate(obj.sections)}
        for symbol, name in names.items():
            section = sections.get(f".rodata.{symbol}_new")
            if section is not None:
                tables.append(ChangedTable(base(name), obj, section))
    return tuple(tables)


class _Maker:
    """Adds the contents of one variable after the other to an object."""

    def __init__(
        self, changes: Changes, objname: str, lookup: Lookup, pointed: Mapping[Unit, str]
    ) -> None:
        self.out = Builder(changes.patched.view.obj.machine)
        self._address = changes.patched.view.obj.arch.relocations.address
        self._changes = changes
        self._objname = objname
        self._lookup = lookup
        self._pointed = pointed
        self._undefined: dict[str, int] = {}

    def add(self, number: int, change: DataChange) -> str:
        """Add a variable, and return the symbol of its ``struct livepatch_contents``."""
        name = f"{SYMBOL}{number}"
        before, after, same = change.before, change.after, change.same_references
        old, new = self._changes.original.view, self._changes.patched.view
        references, new_references = list(old.references(before)), list(new.references(after))
        known, left_alone = self._known_places(references, before, same)
        mask = masked(_words(change), left_alone)
        copies = [self._copy(f"{name}_old", old.data(before), references, known)]
        differing = [one for one in new_references if one.offset not in same]
        inside = self._places_inside(differing)
        others = [one for one in differing if one.offset not in inside]
        known |= inside | self._known_places(others, after, frozenset())[0]
        copies += [
            self._copy(f"{name}_new", new.data(after), new_references, known),
            self._copy(f"{name}_mask", mask, [], {}),
        ]
        head = self._section(name, bytes(4 * WORD), WORD)
        outside = self._lookup.find_defined(before)
        if isinstance(outside, Refusal):
            raise outside
        variable = self._symbol_for(outside)
        for position, symbol in enumerate(
            (variable, *(self.out.section_symbol(copy) for copy in copies))
        ):
            self.out.add_relocation(head, Relocation(position * WORD, self._address, symbol, 0))
        self.out.add_symbol(Symbol(name, 0, 4 * WORD, STT_OBJECT, STB_GLOBAL, head))
        return name

    def _known_places(
        self, references: list[Reference], holder: Unit, same: Collection[int]
    ) -> tuple[dict[int, _Place], list[Reference]]:
        """Return where references lead, by their offsets, and those without a place.

        :param same: offsets of references that need no place: before and after the patch they lead
            to the same, such as a string, which has no name in the kernel.
        """
        known: dict[int, _Place] = {}
        without = []
        for reference in references:
            place = self._find(reference, holder)
            if not isinstance(place, Refusal):
                known[reference.offset] = place
            elif reference.offset in same:
                without.append(reference)
            else:
                raise place
        return known, without

    def _places_inside(self, references: list[Reference]) -> dict[int, _Place]:
        """Return the places in the live patch to which new pointers lead, by their offsets."""
        found: dict[int, _Place] = {}
        for reference in references:
            match reference.target:
                case ToUnit(unit, offset) if unit in self._pointed:
                    found[reference.offset] = Linked(self._pointed[unit], is_new=True), offset
                case ToLiteral(section, content, offset):
                    like = self._changes.patched.view.obj.sections[section]
                    out, start = self.out.literal(like, content)
                    found[reference.offset] = _OwnSection(out), start + offset
        return found

    def _copy(
        self,
        name: str,
        data: bytes,
        references: list[Reference],
        known: dict[int, _Place],
    ) -> int:
        """Add a read-only copy, with the references that are known, and return its section."""
        section = self._section(name, masked(data, references), WORD)
        for reference in references:
            if reference.offset in known:
                outside, offset = known[reference.offset]
                symbol = self._symbol_for(outside)
                self.out.add_relocation(
                    section, Relocation(reference.offset, reference.type, symbol, offset)
                )
        return section

    def _section(self, name: str, data: bytes, align: int) -> int:
        like = Section("", SHT_PROGBITS, SHF_ALLOC, b"", 0, align)
        section = self.out.add_section(like, f".rodata.{name}")
        self.out.append(section, data)
        return section

    def _find(self, reference: Reference, holder: Unit) -> _Place | Refusal:
        """Return the target of a reference, or a refusal: ``symbol-unsupported``, and those of the
        lookup."""
        where = f"{self._changes.patched.view.obj.name}: {base(holder.name)}+{reference.offset:#x}"
        if reference.kind.pc_relative:
            return Refusal(SYMBOL_UNSUPPORTED, where, "holds a relative address")
        match reference.target:
            case ToUnit(unit, offset):
                original = self._changes.correlation.original.get(unit, unit)
                return _with_offset(self._lookup.find_defined(original), offset)
            case ToUndefined(name, offset):
                return _with_offset(self._lookup.find_undefined(name), offset)
            case ToAbsolute(value):
                return value, 0
        return Refusal(
            SYMBOL_UNSUPPORTED, where, "points to something that has no name in the running kernel"
        )

    def _symbol_for(self, outside: Outside | _OwnSection | int) -> int:
        if isinstance(outside, _OwnSection):
            return self.out.section_symbol(outside.index)
        if isinstance(outside, int):
            return self.out.add_symbol(Symbol("", outside, 0, STT_NOTYPE, STB_LOCAL, SHN_ABS))
        name = symbol_name(outside, self._objname)
        if name not in self._undefined:
            self._undefined[name] = self.out.add_symbol(
                Symbol(name, 0, 0, STT_NOTYPE, STB_GLOBAL, SHN_UNDEF)
            )
        return self._undefined[name]


def _with_offset(outside: Outside | Refusal, offset: int) -> _Place | Refusal:
    return outside if isinstance(outside, Refusal) else (outside, offset)


def _words(change: DataChange) -> bytes:
    """Return 0xff for each byte that has to hold its old value, and gets the new one."""
    if change.words is None:
        return b"\xff" * change.before.size
    return bytes(0xFF if at - at % WORD in change.words else 0 for at in range(change.before.size))
