# SPDX-License-Identifier: GPL-2.0-or-later
"""Sections whose entries describe places in code, and which the kernel walks when it loads a
module.

An entry belongs to the code that its first field points at, and goes where that code goes.  One row
of `SECTIONS` per section; a new one is a new row.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from suture.errors import ENTRY_MALFORMED, Refusal
from suture.objects.view import Target, ToAnonymous, ToUnit, View

HINTS = frozenset(
    f".discard.{name}"
    for name in (
        # include/linux/objtool.h
        "unwind_hints",
        "func_stack_frame_non_standard",
        "noendbr",
        "reachable",
        "unreachable",
        "intra_function_calls",
        "validate_unret",
        # include/linux/instrumentation.h
        "instr_begin",
        "instr_end",
        # arch/x86/include/asm/nospec-branch.h, alternative.h, ibt.h
        "retpoline_safe",
        "ignore_alts",
        "ibt_endbr_noseal",
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


@dataclass(frozen=True, slots=True)
class SpecialSection:
    """:ivar struct: the kernel's type of an entry, whose size the target gives; "" where `size` is
    known for good.
    :ivar size: of an entry, bytes; 0 where it is the target's to say.
    :ivar reads_early: the kernel follows its references when it loads the module, so that symbols
        of a module which is not loaded yet are out of its reach.
    :ivar optional: without the entry the code does the same, only slower.
    """

    name: str
    struct: str = ""
    size: int = 0
    reads_early: bool = False
    optional: bool = False


PATCHABLE = "__patchable_function_entries"

SECTIONS: tuple[SpecialSection, ...] = (
    # arch/x86/include/asm/alternative.h; the replacement's own references are copied into the code
    # at load
    SpecialSection(".altinstructions", struct="alt_instr", reads_early=True),
    # include/asm-generic/bug.h
    SpecialSection("__bug_table", struct="bug_entry"),
    # arch/x86/include/asm/extable.h
    SpecialSection("__ex_table", struct="exception_table_entry"),
    # include/linux/jump_label.h; jump_label_add_module() follows the key
    SpecialSection("__jump_table", struct="jump_entry", reads_early=True),
    # include/linux/static_call_types.h; static_call_add_module() follows the key.  The code calls
    # the trampoline, which always leads to where the key does (arch/x86/kernel/static_call.c:
    # arch_static_call_transform()).
    SpecialSection(
        ".static_call_sites", struct="static_call_site", reads_early=True, optional=True
    ),
    # arch/x86/include/asm/paravirt_types.h (until 6.8)
    SpecialSection(".parainstructions", struct="paravirt_patch_site"),
    # arch/x86/include/asm/alternative.h: LOCK_PREFIX_HERE, one s32 each
    SpecialSection(".smp_locks", size=4),
    # tools/objtool/check.c: create_return_sites_sections(), create_retpoline_sites_sections(), ...:
    # one s32 each
    SpecialSection(".return_sites", size=4),
    SpecialSection(".retpoline_sites", size=4),
    SpecialSection(".call_sites", size=4),
    SpecialSection(".ibt_endbr_seal", size=4),
    # include/asm-generic/vmlinux.lds.h: MCOUNT_CALLS, one address each
    SpecialSection("__mcount_loc", size=8),
    SpecialSection(PATCHABLE, size=8),
    # tools/objtool/orc_gen.c: .orc_unwind runs parallel to it
    SpecialSection(".orc_unwind_ip", size=4),
)

SEEN_FROM_OUTSIDE = {*HINTS, PATCHABLE}
"""Their entries may point where no function is, and are about a place in a section whatever has a
name there."""

STRUCTS: Mapping[str, str] = {
    special.name: special.struct for special in SECTIONS if special.struct
}
"""Section name -> the struct whose size its entries have, for whoever looks the sizes up."""

ALIASES: Mapping[str, str] = {
    "ALT": ".altinstructions",
    "BUG": "__bug_table",
    "EX": "__ex_table",
    "JUMP": "__jump_table",
    "STATIC_CALL": ".static_call_sites",
    "PARA": ".parainstructions",
}
"""Short names for the sections in `STRUCTS`, for people to type."""

ORC_UNWIND, ORC_UNWIND_IP = ".orc_unwind", ".orc_unwind_ip"

CARRIED_ALONG = {ORC_UNWIND, ".altinstr_replacement", ".altinstr_aux", ".orc_header"}
"""Sections that hold nothing of their own: what they contain goes with the entries or code that
refer to it."""

JUMP_TABLE = "__jump_table"
ALTINSTRUCTIONS, ALTINSTR_AUX = ".altinstructions", ".altinstr_aux"


@dataclass(frozen=True, slots=True)
class Entry:
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

    :param sizes: section name -> entry size in bytes, for the sections in `STRUCTS`.
    :raises Refusal: ``entry-malformed``
    """

    def __init__(self, view: View, sizes: Mapping[str, int]) -> None:
        self._by_code: dict[int, list[Entry]] = defaultdict(list)
        self._by_name: dict[str, Mapping[int, list[Entry]]] = {}
        self._view = view
        specials = {special.name: special for special in SECTIONS}
        for index, section in enumerate(view.obj.sections):
            if section.name in specials:
                for entry in _read(view, index, specials[section.name], sizes):
                    self._by_code[entry.code].append(entry)
            elif section.name in HINTS:
                hint = SpecialSection(section.name)
                for start, end, code, place in read_hints(view, index):
                    self._by_code[code].append(Entry(hint, index, start, end, code, place))
        for entries in self._by_code.values():
            entries.sort(key=lambda entry: entry.place)

    def within(self, code: int, start: int, end: int) -> list[Entry]:
        """The entries about ``[start, end)`` of code section `code`, by place.

        The end of a section is its last code's: ORC marks it.
        """
        entries = self._by_code.get(code, [])
        if end == self._view.obj.sections[code].size:
            end += 1
        first = bisect_left(entries, start, key=lambda entry: entry.place)
        last = bisect_left(entries, end, lo=first, key=lambda entry: entry.place)
        return entries[first:last]

    def of_section(self, section: int) -> list[Entry]:
        """The entries that special section `section` holds."""
        return [
            entry
            for entries in self._by_code.values()
            for entry in entries
            if entry.section == section
        ]

    def in_force(self, code: int, place: int, name: str) -> Entry | None:
        """The entry of section `name` that still holds at `place`, where none starts there.

        ``.orc_unwind_ip`` marks where the state of the stack changes, which may be in the function
        before.
        """
        entries = self._named(name).get(code, [])
        position = bisect_left(entries, place, key=lambda entry: entry.place)
        starts_there = position < len(entries) and entries[position].place == place
        return None if starts_there or not position else entries[position - 1]

    def _named(self, name: str) -> Mapping[int, list[Entry]]:
        """The entries of one special section, by the code that they are about, by place."""
        if name not in self._by_name:
            self._by_name[name] = {
                code: [entry for entry in entries if entry.special.name == name]
                for code, entries in self._by_code.items()
            }
        return self._by_name[name]


LENGTHS: Mapping[int, tuple[int, int]] = {13: (10, 11), 12: (10, 11), 14: (12, 13)}
"""Size of ``struct alt_instr`` -> offsets of `instrlen` and `replacementlen` in it (until 5.12,
until 6.2, since)."""


def replacement(view: View, entry: Entry, target: ToAnonymous) -> tuple[int, int]:
    """The range of ``.altinstr_replacement`` that a ``struct alt_instr`` names."""
    start, end = target.offset, target.offset + _length(view, entry, 1)
    section = view.obj.sections[target.section]
    if not 0 <= start <= end <= section.size:
        raise Refusal(
            ENTRY_MALFORMED,
            f"{view.obj.name}: {entry.special.name}",
            f"leads out of {section.name}",
        )
    return start, end


def replaced(view: View, entry: Entry) -> tuple[int, int]:
    """The range of code that a ``struct alt_instr`` may overwrite."""
    return entry.place, entry.place + _length(view, entry, 0)


def _length(view: View, entry: Entry, which: int) -> int:
    offsets = LENGTHS.get(entry.end - entry.start)
    if offsets is None:
        where = f"{view.obj.name}: {entry.special.name}"
        raise Refusal(
            ENTRY_MALFORMED,
            where,
            f"struct alt_instr of {entry.end - entry.start} bytes is not known",
        )
    return view.obj.sections[entry.section].data[entry.start + offsets[which]]


def _read(view: View, index: int, special: SpecialSection, sizes: Mapping[str, int]) -> list[Entry]:
    section = view.obj.sections[index]
    size = special.size or sizes.get(special.name, 0)
    where = f"{view.obj.name}: {special.name}"
    if not size:
        raise Refusal(ENTRY_MALFORMED, where, f"the size of struct {special.struct} is not known")
    if section.size % size:
        raise Refusal(ENTRY_MALFORMED, where, f"{section.size} bytes are no multiple of {size}")
    found = []
    for start in range(0, section.size, size):
        first = next(view.references_in(index, start, start + size), None)
        place = _place(first.target) if first is not None and first.offset == 0 else None
        if place is None or not view.obj.sections[place[0]].is_code:
            raise Refusal(ENTRY_MALFORMED, f"{where}+{start:#x}", "does not point at code")
        found.append(Entry(special, index, start, start + size, *place))
    return found


def _place(target: Target) -> tuple[int, int] | None:
    match target:
        case ToUnit(unit, offset):
            return unit.section, unit.start + offset
        case ToAnonymous(section, offset):
            return section, offset
        case _:
            return None


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
