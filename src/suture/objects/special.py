# SPDX-License-Identifier: GPL-2.0-or-later
"""Special sections, with entries about places in code, which the kernel reads when it loads a
module.  `SECTIONS` has those of every kernel, `suture.arch` those of an architecture.

An entry belongs to the code to which its first field points, and goes where that code goes.  For
example, ``WARN_ON()`` makes a ``ud2`` and an entry of ``__bug_table``; without the entry, new code
with that ``ud2`` would be an invalid opcode.  A new special section is a new row of the table.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain

from suture.arch import Architecture, known
from suture.arch.sections import SpecialSection
from suture.errors import ENTRY_MALFORMED, Refusal
from suture.objects.boot_constants import BootConstantPlaces
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
"""Sections that tell objtool about code, and that a finished module lacks.

Where objtool runs only at the link of a module, their entries have to go where the code goes:
without ``.discard.reachable``, objtool would take the code after each ``WARN_ON()`` for dead and
give it no unwind data.  Where objtool has already run, they do no harm.  An entry has one
relocation, to the code that it is about; objtool requires that it is against the section
(tools/objtool/check.c: ``read_retpoline_hints()`` and its kin).

``.discard.addressable`` is not a hint: it only keeps the compiler from dropping a symbol.
"""


PATCHABLE = "__patchable_function_entries"

SECTIONS: tuple[SpecialSection, ...] = (
    # include/asm-generic/bug.h
    SpecialSection("__bug_table", struct="bug_entry", alias="BUG"),
    # asm/extable.h
    SpecialSection("__ex_table", struct="exception_table_entry", alias="EX"),
    # include/linux/jump_label.h; jump_label_add_module() dereferences the key
    SpecialSection("__jump_table", struct="jump_entry", reads_early=True, alias="JUMP"),
    # include/linux/static_call_types.h; static_call_add_module() dereferences the key.  The code
    # calls the trampoline, which always leads to the key's target (arch/x86/kernel/static_call.c:
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
    """Return all special sections of an architecture's kernels, by name; without hints."""
    return {special.name: special for special in (*SECTIONS, *arch.sections.special)}


@cache
def structs(arch: Architecture) -> Mapping[str, str]:
    """Return section name -> struct of its entries, for sections with entries of varying size."""
    return {special.name: special.struct for special in sections(arch).values() if special.struct}


def aliases() -> Mapping[str, str]:
    """Return short name -> section, for the sections of `structs` of any architecture."""
    everywhere = (special for arch in known() for special in sections(arch).values())
    return {special.alias: special.name for special in everywhere if special.alias}


@dataclass(frozen=True, slots=True)
class SpecialEntry:
    """An entry: ``[start, end)`` of special section `section`, about the code at `place` of section
    `code`."""

    special: SpecialSection
    section: int
    start: int
    end: int
    code: int
    place: int


class Entries:
    """All entries of the special sections of one object, found by the code that they are about.

    :ivar constants: the places at which the kernel writes constants into that code at boot.
    :param sizes: section name -> entry size in bytes, for the sections of `structs`.
    :raises Refusal: ``entry-malformed``
    """

    def __init__(self, view: View, sizes: Mapping[str, int]) -> None:
        self._by_code: dict[int, list[SpecialEntry]] = defaultdict(list)
        self._by_name: dict[str, Mapping[int, list[SpecialEntry]]] = {}
        self._by_start: dict[tuple[int, int], SpecialEntry] = {}
        self._view = view
        self.constants = BootConstantPlaces(view)
        arch = view.obj.arch
        specials, hints = sections(arch), HINTS | arch.sections.hints
        for index, section in enumerate(view.obj.sections):
            if section.name in specials:
                for entry in _read(view, index, specials[section.name], sizes):
                    self._by_code[entry.code].append(entry)
                    self._by_start[index, entry.start] = entry
            elif section.name in hints:
                hint = SpecialSection(section.name, is_hint=True)
                for start, end, code, place in read_hints(view, index):
                    self._by_code[code].append(SpecialEntry(hint, index, start, end, code, place))
        for entries in self._by_code.values():
            entries.sort(key=lambda entry: entry.place)

    def within(self, code: int, start: int, end: int) -> list[SpecialEntry]:
        """Return the entries about ``[start, end)`` of code section `code`, by place.

        The end of a section counts as its last code's: ORC has an entry there that ends the
        function before (tools/objtool/orc_gen.c: orc_create()).
        """
        entries = self._by_code.get(code, [])
        if end == self._view.obj.sections[code].size:
            end += 1
        first = bisect_left(entries, start, key=lambda entry: entry.place)
        last = bisect_left(entries, end, lo=first, key=lambda entry: entry.place)
        return entries[first:last]

    def starting_at(self, section: int, start: int) -> SpecialEntry | None:
        """Return the entry of a special section that starts at an offset, if any.

        Since 6.19, code refers to entries: ``WARN_ONCE()`` with a format passes the address of its
        ``struct bug_entry`` on (arch/x86/include/asm/bug.h: __WARN_bug_entry()).
        """
        return self._by_start.get((section, start))

    def of_section(self, section: int) -> list[SpecialEntry]:
        """Return the entries of special section `section`."""
        every = chain.from_iterable(self._by_code.values())
        return [entry for entry in every if entry.section == section]

    def in_force(self, code: int, place: int, name: str) -> SpecialEntry | None:
        """Return the entry of section `name` that covers `place` and starts before it, if any.

        An ORC entry holds up to the next one.  Where two functions of one section
        (``mutex_lock()`` and ``mutex_unlock()`` in ``.sched.text``) have the same state of the
        stack, the second has no entry of its own, and a copy of it needs the first one's.
        """
        entries = self._named(name).get(code, [])
        position = bisect_left(entries, place, key=lambda entry: entry.place)
        starts_there = position < len(entries) and entries[position].place == place
        return None if starts_there or not position else entries[position - 1]

    def _named(self, name: str) -> Mapping[int, list[SpecialEntry]]:
        """Return the entries of one special section: code section -> entries, by place."""
        if name not in self._by_name:
            self._by_name[name] = {
                code: [entry for entry in entries if entry.special.name == name]
                for code, entries in self._by_code.items()
            }
        return self._by_name[name]


def replacement(view: View, entry: SpecialEntry, target: ToAnonymous) -> tuple[int, int]:
    """Return the range of the replacement that a ``struct alt_instr`` names.

    For example, ``stac()`` leaves three bytes of no-ops in the code, and its replacement is the
    instruction ``stac`` in ``.altinstr_replacement``.

    :raises Refusal: ``entry-malformed``
    """
    start, end = target.offset, target.offset + _length(view, entry, 1)
    section = view.obj.sections[target.section]
    if not 0 <= start <= end <= section.size:
        raise Refusal(
            ENTRY_MALFORMED,
            f"{view.obj.name}: {entry.special.name}",
            f"has a replacement outside {section.name}",
        )
    return start, end


def replaced(view: View, entry: SpecialEntry) -> tuple[int, int]:
    """Return the range of code that a ``struct alt_instr`` may overwrite.

    :raises Refusal: ``entry-malformed``
    """
    return entry.place, entry.place + _length(view, entry, 0)


def _length(view: View, entry: SpecialEntry, which: int) -> int:
    """Return `instrlen` (0) or `replacementlen` (1) of a ``struct alt_instr``."""
    lengths = view.obj.arch.sections.alternatives.lengths
    offsets = lengths.get(entry.end - entry.start)
    if offsets is None:
        where = f"{view.obj.name}: {entry.special.name}"
        raise Refusal(
            ENTRY_MALFORMED,
            where,
            f"has a struct alt_instr of {entry.end - entry.start} bytes, an unknown layout",
        )
    return view.obj.sections[entry.section].data[entry.start + offsets[which]]


def _read(
    view: View, index: int, special: SpecialSection, sizes: Mapping[str, int]
) -> list[SpecialEntry]:
    section = view.obj.sections[index]
    size = special.size or sizes.get(special.name, 0)
    where = f"{view.obj.name}: {special.name}"
    if not size:
        raise Refusal(ENTRY_MALFORMED, where, f"the size of struct {special.struct} is unknown")
    if section.size % size and -section.size % size >= special.aligned:
        found = f"has {section.size} bytes, which is not a multiple of {size}"
        raise Refusal(ENTRY_MALFORMED, where, found)
    entries = []
    # An entry begins with the distance to its code, or with the address of it.
    types = view.obj.arch.relocations.types
    by_offset = {
        relocation.offset: relocation
        for relocation in reversed(view.relocations(index, 0, section.size))
        if relocation.type not in types or types[relocation.type].size
    }
    for start in range(0, section.size, size):
        first = by_offset.get(start)
        place = None if first is None else view.place(first, index)
        if place is None or not view.obj.sections[place[0]].is_code:
            raise Refusal(ENTRY_MALFORMED, f"{where}+{start:#x}", "does not point at code")
        entries.append(SpecialEntry(special, index, start, start + size, *place))
    return entries


def regular_sizes(view: View) -> dict[str, int]:
    """Return the entry sizes of special sections, by how regular their relocations are.

    Each entry begins with the place of its code, and all have their relocations at the same
    places.  Example: a ``__jump_table`` has relocations at 0, 4 and 8, at 16, 20 and 24, ...

    :return: section name -> bytes; without those that show no size.
    """
    known = structs(view.obj.arch)
    specials = sections(view.obj.arch)
    found = {}
    for index, section in enumerate(view.obj.sections):
        if section.name in known and section.size:
            size = _regular_size(view, index, specials[section.name].aligned)
            if size is not None:
                found[section.name] = size
    return found


SMALLEST = 8
"""Bytes; ``struct exception_table_entry`` had no more until 4.5, and ``struct static_call_site``
has no more."""


def _regular_size(view: View, index: int, aligned: int) -> int | None:
    total, types = view.obj.sections[index].size, view.obj.arch.relocations.types
    relocations = [
        relocation
        for relocation in view.relocations(index, 0, total)
        if relocation.type not in types or types[relocation.type].size
    ]
    places = {relocation.offset: view.place(relocation, index) for relocation in relocations}
    for size in range(SMALLEST, total + SMALLEST):
        starts = range(0, total, size)
        if size % aligned or -total % size >= aligned:
            continue
        firsts = [places.get(start) for start in starts]
        if not all(place and view.obj.sections[place[0]].is_code for place in firsts):
            continue
        patterns = {
            tuple((r.offset - start, r.type) for r in relocations if 0 <= r.offset - start < size)
            for start in starts
        }
        if len(patterns) == 1:
            return size
    return None


def read_hints(view: View, index: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the entries of hint section `index`, each from its relocation to the next.

    :return: start and end of the entry, section of the code and offset in it.
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
