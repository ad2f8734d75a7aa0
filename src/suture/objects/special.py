# SPDX-License-Identifier: GPL-2.0-or-later
"""Sections whose entries describe places in code, and which the kernel walks when it loads a
module: those of every kernel.  `suture.arch` has those of an architecture.

An entry belongs to the code that its first field points at, and goes where that code goes.  One row
of `SECTIONS` per section; a new one is a new row.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from suture.arch import Architecture, known
from suture.arch.sections import SpecialSection
from suture.errors import ENTRY_MALFORMED, Refusal
from suture.objects.view import ToAnonymous, ToUnit, View

HINTS = frozenset(
    f".discard.{name}"
    for name in (
        # include/linux/objtool.h
        "unwind_hints",
        "func_stack_frame_non_standard",
        "reachable",
        "unreachable",
        "intra_function_calls",
        "validate_unret",
        # include/linux/instrumentation.h
        "instr_begin",
        "instr_end",
        # include/linux/annotate.h, objtool.h since 6.14: all of them in one
        "annotate_insn",
    )
)
"""Sections that tell objtool about code, and that no module has when it is done.

Where objtool runs at the link of a module only, they have to go where the code goes: without
``.discard.reachable`` the code after each WARN() would be taken for dead and get no unwind data.
Where objtool has run already they do no harm. An entry has one relocation, to the code that it is
about; objtool wants it to be against the section (tools/objtool/check.c: ``read_retpoline_hints()``
and its likes).

``.discard.addressable`` is not among them: it only keeps the compiler from dropping a symbol.
"""


PATCHABLE = "__patchable_function_entries"

SECTIONS: tuple[SpecialSection, ...] = (
    # include/asm-generic/bug.h
    SpecialSection("__bug_table", struct="bug_entry", alias="BUG"),
    # asm/extable.h
    SpecialSection("__ex_table", struct="exception_table_entry", alias="EX"),
    # include/linux/jump_label.h; jump_label_add_module() follows the key
    SpecialSection("__jump_table", struct="jump_entry", reads_early=True, alias="JUMP"),
    # include/linux/static_call_types.h; static_call_add_module() follows the key.  The code calls
    # the trampoline, which always leads to where the key does (arch/x86/kernel/static_call.c:
    # arch_static_call_transform()).
    SpecialSection(
        ".static_call_sites",
        struct="static_call_site",
        reads_early=True,
        optional=True,
        alias="STATIC_CALL",
    ),
    # include/asm-generic/vmlinux.lds.h: MCOUNT_CALLS, one address each
    SpecialSection("__mcount_loc", size=8),
    SpecialSection(PATCHABLE, size=8),
)

JUMP_TABLE = "__jump_table"


@cache
def sections(arch: Architecture) -> Mapping[str, SpecialSection]:
    """All special sections of an architecture's kernels, by name; without hints."""
    return {special.name: special for special in (*SECTIONS, *arch.sections.special)}


@cache
def structs(arch: Architecture) -> Mapping[str, str]:
    """Section name -> the struct whose size its entries have, for whoever looks the sizes up."""
    return {special.name: special.struct for special in sections(arch).values() if special.struct}


def aliases() -> Mapping[str, str]:
    """Short names for the sections of `structs`, of whatever architecture, for people to type."""
    everywhere = (special for arch in known() for special in sections(arch).values())
    return {special.alias: special.name for special in everywhere if special.alias}


@dataclass(frozen=True, slots=True)
class SpecialEntry:
    """``[start, end)`` of special section `section`, about the code at `place` of section
    `code`."""

    special: SpecialSection
    section: int
    start: int
    end: int
    code: int
    place: int


class Entries:
    """All entries of the special sections of one object, found by the code they are about.

    :param sizes: section name -> entry size in bytes, for the sections of `structs`.
    :raises Refusal: ``entry-malformed``
    """

    def __init__(self, view: View, sizes: Mapping[str, int]) -> None:
        self._by_code: dict[int, list[SpecialEntry]] = defaultdict(list)
        self._by_name: dict[str, Mapping[int, list[SpecialEntry]]] = {}
        self._view = view
        arch = view.obj.arch
        specials, hints = sections(arch), HINTS | arch.sections.hints
        for index, section in enumerate(view.obj.sections):
            if section.name in specials:
                for entry in _read(view, index, specials[section.name], sizes):
                    self._by_code[entry.code].append(entry)
            elif section.name in hints:
                hint = SpecialSection(section.name, is_hint=True)
                for start, end, code, place in read_hints(view, index):
                    self._by_code[code].append(SpecialEntry(hint, index, start, end, code, place))
        for entries in self._by_code.values():
            entries.sort(key=lambda entry: entry.place)

    def within(self, code: int, start: int, end: int) -> list[SpecialEntry]:
        """The entries about ``[start, end)`` of code section `code`, by place.

        The end of a section is its last code's: the unwind table marks it.
        """
        entries = self._by_code.get(code, [])
        if end == self._view.obj.sections[code].size:
            end += 1
        first = bisect_left(entries, start, key=lambda entry: entry.place)
        last = bisect_left(entries, end, lo=first, key=lambda entry: entry.place)
        return entries[first:last]

    def of_section(self, section: int) -> list[SpecialEntry]:
        """The entries that special section `section` holds."""
        return [
            entry
            for entries in self._by_code.values()
            for entry in entries
            if entry.section == section
        ]

    def in_force(self, code: int, place: int, name: str) -> SpecialEntry | None:
        """The entry of section `name` that still holds at `place`, where none starts there.

        An unwind table marks where the state of the stack changes, which may be in the function
        before.
        """
        entries = self._named(name).get(code, [])
        position = bisect_left(entries, place, key=lambda entry: entry.place)
        starts_there = position < len(entries) and entries[position].place == place
        return None if starts_there or not position else entries[position - 1]

    def _named(self, name: str) -> Mapping[int, list[SpecialEntry]]:
        """The entries of one special section, by the code that they are about, by place."""
        if name not in self._by_name:
            self._by_name[name] = {
                code: [entry for entry in entries if entry.special.name == name]
                for code, entries in self._by_code.items()
            }
        return self._by_name[name]


def replacement(view: View, entry: SpecialEntry, target: ToAnonymous) -> tuple[int, int]:
    """The range of replacements that a ``struct alt_instr`` names."""
    start, end = target.offset, target.offset + _length(view, entry, 1)
    section = view.obj.sections[target.section]
    if not 0 <= start <= end <= section.size:
        raise Refusal(
            ENTRY_MALFORMED,
            f"{view.obj.name}: {entry.special.name}",
            f"leads out of {section.name}",
        )
    return start, end


def replaced(view: View, entry: SpecialEntry) -> tuple[int, int]:
    """The range of code that a ``struct alt_instr`` may overwrite."""
    return entry.place, entry.place + _length(view, entry, 0)


def _length(view: View, entry: SpecialEntry, which: int) -> int:
    lengths = view.obj.arch.sections.alternatives.lengths
    offsets = lengths.get(entry.end - entry.start)
    if offsets is None:
        where = f"{view.obj.name}: {entry.special.name}"
        raise Refusal(
            ENTRY_MALFORMED,
            where,
            f"struct alt_instr of {entry.end - entry.start} bytes is not known",
        )
    return view.obj.sections[entry.section].data[entry.start + offsets[which]]


def _read(
    view: View, index: int, special: SpecialSection, sizes: Mapping[str, int]
) -> list[SpecialEntry]:
    section = view.obj.sections[index]
    size = special.size or sizes.get(special.name, 0)
    where = f"{view.obj.name}: {special.name}"
    if not size:
        raise Refusal(ENTRY_MALFORMED, where, f"the size of struct {special.struct} is not known")
    if section.size % size:
        raise Refusal(ENTRY_MALFORMED, where, f"{section.size} bytes are no multiple of {size}")
    found = []
    # An entry begins with the distance to its code, or the address of it.
    types = view.obj.arch.relocations.types
    by_offset = {
        one.offset: one
        for one in reversed(view.relocations(index, 0, section.size))
        if one.type not in types or types[one.type].size
    }
    for start in range(0, section.size, size):
        first = by_offset.get(start)
        place = None if first is None else view.place(first, index)
        if place is None or not view.obj.sections[place[0]].is_code:
            raise Refusal(ENTRY_MALFORMED, f"{where}+{start:#x}", "does not point at code")
        found.append(SpecialEntry(special, index, start, start + size, *place))
    return found


def read_hints(view: View, index: int) -> Iterator[tuple[int, int, int, int]]:
    """The entries of section `index`, each from its relocation to the next.

    :return: start and end of the entry, section of code and offset in it.
    """
    size = view.obj.sections[index].size
    references = list(view.references_in(index, 0, size))
    ends = [reference.offset for reference in references[1:]] + [size]
    for reference, end in zip(references, ends, strict=True):
        match reference.target:
            case ToUnit(unit, offset) if view.section(unit).is_code:
                yield reference.offset, end, unit.section, unit.start + offset
            case ToAnonymous(section, offset) if view.obj.sections[section].is_code:
                yield reference.offset, end, section, offset
