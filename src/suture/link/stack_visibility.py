# SPDX-License-Identifier: GPL-2.0-or-later
"""New code that the core has to see on stacks, laid where it looks.

Before a live patch is taken out or replaced, the core looks for the functions that replace others
on the stacks of all tasks (kernel/livepatch/transition.c: klp_check_stack_func()).  It takes each
of them from ``new_func`` up to the next symbol (kernel/module/kallsyms.c: find_kallsyms_symbol()),
and knows no other code of the module.  A function that is called from there has a return address
into its caller below it.  What is entered in another way has not: a task asleep in it would not be
seen, and the code would be freed under it.  That is so for

- the ``.cold`` part of a function, which the compiler moved away;
- a new function that is jumped to (a tail call), or whose address is taken.

So such code is laid directly behind a replaced function, in one section, and its own symbols get
the names of local labels, which kallsyms passes over (is_mapping_symbol(); before 6.2
is_arm_mapping_symbol()): then the range that the core looks for covers both.  This is done when the
module is linked, since objtool finds ``.cold`` parts by their names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from suture.diff.users import whole
from suture.elf.object import STB_LOCAL, STT_SECTION, ObjectFile, Relocation, Section, Symbol
from suture.errors import TAIL_CALL_UNSEEN, Refusal
from suture.model import VMLINUX, LivePatch
from suture.objects.locals import is_cold
from suture.objects.view import Reference, ToAnonymous, ToUnit, Unit, View

LOCAL_LABEL = ".L"

PREFIX = "__pfx_"
"""Begins objtool's name for the padding before a function (tools/objtool/elf.c:
elf_create_prefix_symbol())."""

SHARED = (".noinstr.text", ".kprobes.text")
"""Functions are in these for what the kernel does with the whole section
(`suture.diff.placement`)."""

Node = Unit | int
"""A function or variable, or a section in which no symbol names the place."""


def apart(objects: Mapping[str, ObjectFile]) -> dict[str, ObjectFile]:
    """Give the code sections of several objects names of their own, so that the linker does not
    join them.

    :param objects: file name -> object.
    """
    taken: set[str] = set()
    return {file: _apart(obj, taken) for file, obj in objects.items()}


def cover(module: ObjectFile, patch: LivePatch) -> ObjectFile:
    """Lay what the core would not see behind functions that it looks for.

    :param module: as linked from objects that `apart` has been given, with the names of `patch`
        still in it.
    :raises Refusal: ``tail-call-unseen``
    """
    view = View(module)
    objects = {
        function.new_name: patched.name
        for patched in patch.objects
        for function in patched.functions
    }
    entries = {
        unit: objects[name]
        for unit in view.units
        for name in (unit.name, *unit.aliases)
        if name in objects
    }
    behind = _behind(view, entries)
    return _laid(module, behind) if behind else module


def _apart(obj: ObjectFile, taken: set[str]) -> ObjectFile:
    sections = []
    for section in obj.sections:
        name, number = section.name, 1
        while section.is_code and name in taken and not section.name.startswith(SHARED):
            number += 1
            name = f"{section.name}.{number}"
        if section.is_code:
            taken.add(name)
        sections.append(replace(section, name=name))
    return replace(obj, sections=tuple(sections))


# --- what has to lie where


def _behind(view: View, entries: Mapping[Unit, str]) -> dict[Unit, list[Unit]]:
    """Replacing function -> what is to be laid behind it, in order.

    :param entries: the functions that replace others, and in which object.
    """
    colds: dict[Unit, list[Unit]] = defaultdict(list)
    for unit in view.units:
        if unit.is_function and whole(view, unit) != unit:
            colds[whole(view, unit)].append(unit)
    behind = {entry: list(colds[entry]) for entry in entries if colds[entry]}
    for function, users in _entered_otherwise(view, entries).items():
        behind.setdefault(_seen_with(view, function, users, entries), []).extend(
            (function, *colds[function])
        )
    for unit in (unit for entry, units in behind.items() for unit in (entry, *units)):
        if view.section(unit).name.startswith(SHARED) or not _is_alone(view, unit):
            found = f"is not entered by calls alone, and is in {view.section(unit).name}, where it has to stay"
            raise Refusal(TAIL_CALL_UNSEEN, f"{view.obj.name}: {unit.name}()", found)
    return behind


def _is_alone(view: View, unit: Unit) -> bool:
    return all(
        other == unit or other.name == f"{PREFIX}{unit.name}"
        for other in view.units_in(unit.section)
    )


def _entered_otherwise(view: View, entries: Mapping[Unit, str]) -> dict[Unit, dict[Unit, None]]:
    """New functions that are not entered by calls alone, and the entries that lead to each."""
    ways = _Ways(view)
    everywhere = [
        index
        for index, section in enumerate(view.obj.sections)
        if _is_unnamed_code(view, index, section)
    ]
    users: dict[Unit, dict[Unit, None]] = defaultdict(dict)
    otherwise: dict[Unit, None] = {}
    for entry in entries:
        seen: set[Node] = {entry}
        # What alternatives put in place of other code may be anyone's.
        todo: list[Node] = [entry, *everywhere]
        while todo:
            for target, by_call in ways.of(todo.pop()):
                if isinstance(target, Unit) and target.is_function and target not in entries:
                    users[target][entry] = None
                    if not by_call:
                        otherwise[target] = None
                if target not in seen:
                    seen.add(target)
                    todo.append(target)
    return {function: users[function] for function in otherwise}


def _is_unnamed_code(view: View, index: int, section: Section) -> bool:
    return section.is_code and not view.units_in(index)


def _seen_with(
    view: View, function: Unit, users: Mapping[Unit, None], entries: Mapping[Unit, str]
) -> Unit:
    """The entry that `function` is to lie behind.

    The core looks for the functions of those objects that are there (klp_check_stack()), and the
    core kernel always is.
    """
    always = [entry for entry, objname in entries.items() if objname == VMLINUX]
    if len({entries[entry] for entry in users}) > 1 and not always:
        found = "is entered other than by calls, from functions of several modules"
        raise Refusal(TAIL_CALL_UNSEEN, f"{view.obj.name}: {function.name}()", found)
    return next(
        (entry for entry in users if entry in always), always[0] if always else next(iter(users))
    )


class _Ways:
    """What leads where in a module, and whether by a call that leaves its caller on the stack."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._known: dict[Node, list[tuple[Node, bool]]] = {}

    def of(self, node: Node) -> list[tuple[Node, bool]]:
        """Functions stand for their ``.cold`` parts, here and in what is returned."""
        if node not in self._known:
            self._known[node] = list(self._found(node))
        return self._known[node]

    def _found(self, node: Node) -> Iterator[tuple[Node, bool]]:
        view = self._view
        for start, end, reference in self._references(node):
            match reference.target:
                case ToUnit(unit, offset):
                    function = whole(view, unit)
                    if function != node:
                        # After a call at its very end, the return address is no longer in the
                        # caller.
                        returns = reference.offset + reference.kind.size < end - start
                        yield (
                            function,
                            reference.is_call and not offset and function == unit and returns,
                        )
                case ToAnonymous(section) if section != node:
                    yield section, False

    def _references(self, node: Node) -> Iterator[tuple[int, int, Reference]]:
        view = self._view
        if isinstance(node, int):
            ranges = [(node, 0, view.obj.sections[node].size)]
        else:
            parts = (
                unit
                for unit in view.units
                if unit == node or (is_cold(unit.name) and whole(view, unit) == node)
            )
            ranges = [(unit.section, unit.start, unit.end) for unit in parts]
        for section, start, end in ranges:
            yield from (
                (start, end, reference) for reference in view.references_in(section, start, end)
            )


# --- laying it there


@dataclass(frozen=True, slots=True)
class _CodePlace:
    """Where the contents of a section come to stand: in another, from offset `base`."""

    section: int
    base: int


def _laid(module: ObjectFile, behind: Mapping[Unit, Sequence[Unit]]) -> ObjectFile:
    """Append the sections of units to those of the functions that they are to lie behind."""
    sections = list(module.sections)
    moved: dict[int, _CodePlace] = {}
    for entry, units in behind.items():
        for unit in units:
            sections[entry.section], base = _joined(
                sections[entry.section], sections[unit.section], module.arch.entry.filler
            )
            moved[unit.section] = _CodePlace(entry.section, base)
    stay = [index for index in range(len(sections)) if index not in moved]
    number = {old: new for new, old in enumerate(stay)}
    number |= {old: number[place.section] for old, place in moved.items()}
    starts = {entry.section: entry.start for entry in behind}
    symbols = tuple(_hidden(_moved(symbol, moved), starts) for symbol in module.symbols)
    relocations: dict[int, list[Relocation]] = defaultdict(list)
    for section, found in module.relocations.items():
        base = moved[section].base if section in moved else 0
        relocations[number[section]] += [
            _retargeted(relocation, module, moved, base) for relocation in found
        ]
    return replace(
        module,
        sections=tuple(
            replace(sections[old], link=number.get(sections[old].link, 0)) for old in stay
        ),
        symbols=tuple(
            replace(s, shndx=number[s.shndx]) if s.is_defined_here else s for s in symbols
        ),
        relocations={
            s: tuple(sorted(found, key=lambda r: r.offset)) for s, found in relocations.items()
        },
    )


def _joined(section: Section, other: Section, filler: bytes) -> tuple[Section, int]:
    """:return: the section with the other's contents behind its own, and where they begin."""
    align = max(other.addralign, 1)
    gap = -section.size % align
    data = section.data + filler * (gap // len(filler))
    joined = data + other.data
    return replace(
        section, data=joined, size=len(joined), addralign=max(section.addralign, align)
    ), len(data)


def _moved(symbol: Symbol, moved: Mapping[int, _CodePlace]) -> Symbol:
    """A section's symbol becomes the other section's: `_retargeted` adds the distance to what
    refers to it."""
    place = moved.get(symbol.shndx) if symbol.is_defined_here else None
    if place is None:
        return symbol
    return replace(
        symbol,
        shndx=place.section,
        value=symbol.value + (place.base if symbol.type != STT_SECTION else 0),
    )


def _hidden(symbol: Symbol, starts: Mapping[int, int]) -> Symbol:
    """Let kallsyms see no other symbol from a replacing function's start to its section's end.

    :param starts: section -> where its replacing function starts.
    """
    start = starts.get(symbol.shndx) if symbol.is_defined_here else None
    if start is None or symbol.value <= start or not symbol.name:
        return symbol
    return replace(symbol, name=f"{LOCAL_LABEL}{symbol.name}", bind=STB_LOCAL)


def _retargeted(
    relocation: Relocation, module: ObjectFile, moved: Mapping[int, _CodePlace], base: int
) -> Relocation:
    """:param base: how far the section that it applies to has moved."""
    symbol = module.symbols[relocation.symbol]
    is_moved = symbol.type == STT_SECTION and symbol.shndx in moved
    distance = moved[symbol.shndx].base if is_moved else 0
    return relocation._replace(offset=relocation.offset + base, addend=relocation.addend + distance)
