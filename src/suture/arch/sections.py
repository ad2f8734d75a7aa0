# SPDX-License-Identifier: GPL-2.0-or-later
"""Sections whose entries describe places in code: what one is, and those that an architecture has
beside the ones of every kernel (`suture.objects.special`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SpecialSection:
    """:ivar struct: the kernel's type of an entry, whose size the target gives; "" where `size` is
    known for good.
    :ivar size: of an entry, bytes; 0 where it is the target's to say.
    :ivar reads_early: the kernel follows its references when it loads the module, so that symbols
        of a module which is not loaded yet are out of its reach.
    :ivar optional: without the entry the code does the same, only slower.
    :ivar is_hint: it tells objtool about code, and no module has it when it is done.
    :ivar alias: a short name for people to type, where there is a `struct`.
    """

    name: str
    struct: str = ""
    size: int = 0
    reads_early: bool = False
    optional: bool = False
    is_hint: bool = False
    alias: str = ""


@dataclass(frozen=True, slots=True)
class Alternatives:
    """Code that the kernel puts in place of other code, for the processor that it finds.

    :ivar entries: the section of ``struct alt_instr``.
    :ivar replacements: that of the code to put there.
    :ivar pieces: one of code that branches lead to, each piece entered at its start only; or "".
    :ivar lengths: size of ``struct alt_instr`` -> offsets of `instrlen` and `replacementlen` in it.
    """

    entries: str = ""
    replacements: str = ""
    pieces: str = ""
    lengths: Mapping[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UnwindTable:
    """Two sections that run in parallel, from which the kernel walks stacks.

    :ivar places: where in the code the state of the stack changes, one s32 each.
    :ivar entries: what it is from there on.
    """

    places: str = ""
    entries: str = ""


@dataclass(frozen=True, slots=True)
class ArchSections:
    """An architecture's own sections.

    :ivar special: those with entries about code.
    :ivar hints: those that tell objtool about code, by name.
    :ivar carried_along: those that hold nothing of their own: what they contain goes with the
        entries or code that refer to it.
    :ivar boot_tables: those that the kernel reads once, when it boots.
    :ivar no_pointers: begin the names of those in which nothing is the address of something.
    """

    special: tuple[SpecialSection, ...] = ()
    hints: frozenset[str] = frozenset()
    alternatives: Alternatives = Alternatives()
    unwind: UnwindTable = UnwindTable()
    carried_along: frozenset[str] = frozenset()
    boot_tables: tuple[str, ...] = ()
    no_pointers: tuple[str, ...] = ()
