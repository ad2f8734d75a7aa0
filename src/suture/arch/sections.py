# SPDX-License-Identifier: GPL-2.0-or-later
"""Special sections, with entries about places in code: their description, and an architecture's own
besides those of every kernel (`suture.objects.special`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SpecialSection:
    """A section with entries about code.

    :ivar struct: the kernel's type of an entry, with a size that the target knows; "" if `size` is
        the same everywhere.
    :ivar size: bytes of an entry; 0 if the target's `struct` has it.
    :ivar reads_early: the kernel follows its references when it loads the module, and cannot yet
        reach symbols of a module that is loaded later.
    :ivar optional: without the entry the code does the same, only slower.
    :ivar aligned: entries are aligned to so many bytes, and the last one may lack what fills it up.
    :ivar is_hint: it tells objtool about code; finished modules lack it.
    :ivar alias: a short name for people to type, if there is a `struct`.
    """

    name: str
    struct: str = ""
    size: int = 0
    reads_early: bool = False
    optional: bool = False
    aligned: int = 1
    is_hint: bool = False
    alias: str = ""


@dataclass(frozen=True, slots=True)
class Alternatives:
    """Alternatives: code that the kernel puts in place of other code, depending on the processor.

    :ivar entries: the section of ``struct alt_instr``.
    :ivar replacements: the section of the replacing code.
    :ivar pieces: a section of code to which branches lead, always to the start of a piece; or "".
    :ivar lengths: size of ``struct alt_instr`` -> offsets of `instrlen` and `replacementlen` in it.
    """

    entries: str = ""
    replacements: str = ""
    pieces: str = ""
    lengths: Mapping[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UnwindTable:
    """Two parallel sections by which the kernel walks stacks.

    :ivar places: the section of the places in code where the state of the stack changes, one s32
        each.
    :ivar entries: the section of the states from there on.
    """

    places: str = ""
    entries: str = ""


@dataclass(frozen=True, slots=True)
class ReadingCode:
    """Code that reads a variable, in place of code with a constant.

    :ivar start: where it begins; `field`: the four bytes for the distance to the variable, from
        the end of these bytes.
    """

    start: int
    code: bytes
    field: int


def _no_reading(kind: str, code: bytes, place: int) -> ReadingCode | None:
    return None


@dataclass(frozen=True, slots=True)
class BootConstants:
    """Constants that the kernel writes into its own code at boot.

    :ivar kinds: prefix of the names of the sections with their places -> kind of constant.
    :ivar reading: from kind, code and place of the constant to code that reads the variable
        instead; None where it does not fit.
    """

    kinds: Mapping[str, str] = field(default_factory=dict)
    reading: Callable[[str, bytes, int], ReadingCode | None] = _no_reading


@dataclass(frozen=True, slots=True)
class ArchSections:
    """An architecture's own sections.

    :ivar special: the sections with entries about code.
    :ivar hints: the names of the sections that tell objtool about code.
    :ivar carried_along: the names of sections with contents that go with the entries or code that
        refer to them.
    :ivar outlined: sections of code that has no symbols, to which jumps out of functions lead,
        always to the start of a piece -> whether entries of ``__ex_table`` lead there too.
    :ivar boot_tables: the names of sections that the kernel reads once, when it boots.
    :ivar no_pointers: the beginnings of the names of sections without addresses.
    :ivar boot_constants: see there.
    """

    special: tuple[SpecialSection, ...] = ()
    hints: frozenset[str] = frozenset()
    alternatives: Alternatives = Alternatives()
    unwind: UnwindTable = UnwindTable()
    carried_along: frozenset[str] = frozenset()
    outlined: Mapping[str, bool] = field(default_factory=dict)
    boot_tables: tuple[str, ...] = ()
    no_pointers: tuple[str, ...] = ()
    boot_constants: BootConstants = BootConstants()
