# SPDX-License-Identifier: GPL-2.0-or-later
"""The local symbols of an object by source file, and in order.

Several source files linked into one object (``ld -r``: ``xfs.o``) may each have a static function
of the same name.  ``STT_FILE`` symbols distinguish them (gABI 4.17: one precedes the local symbols
of its file); where those are stripped, the symbols before and after do.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

from suture.elf.object import STB_LOCAL, STT_FILE, STT_FUNC, STT_OBJECT, ObjectFile
from suture.objects.locals import DATA, is_numbered
from suture.objects.view import Unit

NO_FILE = -1

Key = tuple[int, int, str]
"""Section, offset and name of a symbol."""


class SourceFiles:
    """The local functions and variables of an object by source file.

    :ivar names: of the source files, in the order of the symbol table; several can have one name.
    :ivar order: the local symbols' names in that order.
    """

    def __init__(self, obj: ObjectFile) -> None:
        self.names: list[str] = []
        self.order: list[str] = []
        self._file: dict[Key, int] = {}
        self._position: dict[Key, int] = {}
        self._locals: dict[int, set[str]] = defaultdict(set)
        for symbol in obj.symbols:
            if symbol.type == STT_FILE:
                self.names.append(symbol.name)
            elif (
                symbol.bind == STB_LOCAL
                and symbol.is_defined_here
                and symbol.type in (STT_FUNC, STT_OBJECT)
            ):
                key = symbol.shndx, symbol.value, symbol.name
                self._file[key] = len(self.names) - 1
                self._position[key] = len(self.order)
                self.order.append(symbol.name)
                section = obj.sections[symbol.shndx]
                # The linker may discard symbols in sections that the kernel defines.
                is_variable = section.name.startswith(DATA) and not is_numbered(symbol.name)
                if symbol.type == STT_FUNC or is_variable:
                    self._locals[len(self.names) - 1].add(symbol.name)

    def file_of(self, unit: Unit) -> int:
        """Return an index into `names`; `NO_FILE` for a global unit, or without ``STT_FILE``
        symbols."""
        if not unit.is_local:
            return NO_FILE
        return self._file.get((unit.section, unit.start, unit.name), NO_FILE)

    def position(self, unit: Unit) -> int | None:
        """Return an index into `order`; None for a global unit."""
        return self._position.get((unit.section, unit.start, unit.name)) if unit.is_local else None

    def locals_of(self, file: int) -> set[str]:
        """Return the names of a file's static functions and variables, except numbered ones."""
        return self._locals[file]


def pair_files(left: Sequence[str], right: Sequence[str]) -> dict[int, int]:
    """Pair source files: by position if all names are the same, else by unique names.

    :return: index into `right` -> index into `left`.
    """
    if list(left) == list(right):
        return {index: index for index in range(len(right))}
    here, there = _unique(left), _unique(right)
    return {there[name]: here[name] for name in there if name in here}


def pair_neighbours(left: Sequence[str], right: Sequence[str]) -> dict[int, int]:
    """Pair symbols of one name by the symbols around them.

    A name that is unique on both sides is an anchor.  Between two anchors that follow each other on
    both sides, equal names are paired in order if both sides have as many of them.  If all names
    are the same, symbols are paired by position.

    :return: index into `right` -> index into `left`; without the anchors where the names are not
        all the same.
    """
    if list(left) == list(right):
        return {index: index for index in range(len(right))}
    here, there = _unique(left), _unique(right)
    anchors = {there[name]: here[name] for name in there if name in here}
    places, taken = sorted(anchors), set(anchors.values())
    pairs: dict[int, int] = {}
    for first, last in pairwise(places):
        if last == first + 1 or not anchors[first] < anchors[last]:
            continue
        inside, outside = range(anchors[first] + 1, anchors[last]), range(first + 1, last)
        if any(index in taken for index in inside):
            continue  # on the other side an anchor is between them: the order differs
        ours, theirs = _grouped(left, inside), _grouped(right, outside)
        for name, indices in theirs.items():
            if len(ours.get(name, ())) == len(indices):
                pairs.update(zip(indices, ours[name], strict=True))
    return pairs


def _unique(names: Sequence[str]) -> dict[str, int]:
    count = Counter(names)
    return {name: index for index, name in enumerate(names) if count[name] == 1}


def _grouped(names: Sequence[str], indices: range) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = defaultdict(list)
    for index in indices:
        groups[names[index]].append(index)
    return groups
