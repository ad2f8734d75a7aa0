# SPDX-License-Identifier: GPL-2.0-or-later
"""Placing new code where the core finds it on stacks.

Before a live patch is unloaded or replaced, the core looks for the replacing functions on the
stacks of all tasks (kernel/livepatch/transition.c: klp_check_stack_func()).  A function's range is
from ``new_func`` to the next symbol (kernel/module/kallsyms.c: find_kallsyms_symbol()), and the
core knows no other code of the module.  Code that is called from there leaves a return address into
its caller on the stack.  Code that is entered in another way does not: the core would not see a
task that sleeps in it, and the kernel would free the code under the task.  There are two kinds:

- the ``.cold`` part of a function, which the compiler moved away (Debian's 6.1 has 2,862 of them,
  ``__schedule_bug.cold`` among them);
- a new function that is jumped to (a tail call), or has its address taken.

Such code is placed directly behind a replacing function, in one section, and its own symbols become
local labels, which kallsyms ignores (is_mapping_symbol(); before 6.2 is_arm_mapping_symbol()): then
the function's range covers both.  This happens after the link, since objtool finds ``.cold`` parts
by their names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from suture.diff.users import whole_function
from suture.elf.object import STB_LOCAL, STT_SECTION, ObjectFile, Relocation, Section, Symbol
from suture.errors import TAIL_CALL_UNSEEN, Refusal
from suture.model import VMLINUX, LivePatch
from suture.objects.locals import is_cold
from suture.objects.special import sections
from suture.objects.view import Reference, ToAnonymous, ToUnit, Unit, View

LOCAL_LABEL = ".L"

PREFIX = "__pfx_"
"""Begins objtool's name for the padding before a function (tools/objtool/elf.c:
elf_create_prefix_symbol())."""

SHARED = (".noinstr.text", ".kprobes.text")
"""Sections that code must not leave: the kernel treats each as a whole
(`suture.diff.placement`)."""

PLAIN, SEPARATE = ".text.", ".text..of."
"""The compiler's prefix for the section of one function, and one that no linker script knows."""

MERGED = ".text.[0-9a-zA-Z_]*"
"""Where scripts/module.lds.S has this pattern, the linker merges the sections of all functions; in
6.12 it has it for Clang's LTO alone, since 6.19 always."""

Node = Unit | int
"""A function or variable, or a section in which no symbol names the place."""


def isolate_sections(
    objects: Mapping[str, ObjectFile], linker_script: str = ""
) -> dict[str, ObjectFile]:
    """Give the code sections of several objects different names, so that the linker does not merge
    them.

    For example, two files that both replace a static ``c_start()`` have a ``.text.c_start`` each.

    :param objects: file name -> object.
    :param linker_script: the contents of the target's ``scripts/module.lds``.
    """
    taken: set[str] = set()
    separate = SEPARATE if MERGED in linker_script else PLAIN
    return {file: _isolated(obj, taken, separate) for file, obj in objects.items()}


def cover(module: ObjectFile, patch: LivePatch, *, stays: bool = False) -> ObjectFile:
    """Place code that the core would not see behind functions that it looks for.

    :param module: linked from the result of `isolate_sections`, still with the names of `patch`.
    :param stays: the module stays in memory, so that a task may sleep in code that the core does
        not see.  What cannot be placed is left where it is.
    :raises Refusal: ``tail-call-unseen``
    """
    view = View(module)
    objects: dict[str, str] = {}
    for patched in patch.objects:
        for function in patched.functions:
            objects[function.new_name] = patched.name
    entries: dict[Unit, str] = {}
    for unit in view.units:
        for name in (unit.name, *unit.aliases):
            if name in objects:
                entries[unit] = objects[name]
    behind = _behind(view, entries, stays)
    return _placed(module, behind) if behind else module


def _isolated(obj: ObjectFile, taken: set[str], separate: str) -> ObjectFile:
    sections = []
    for section in obj.sections:
        original, number = section.name, 1
        if section.is_code and original.startswith(PLAIN):
            original = separate + original.removeprefix(PLAIN)
        name = original
        while section.is_code and name in taken and not section.name.startswith(SHARED):
            number += 1
            name = f"{original}.{number}"
        if section.is_code:
            taken.add(name)
        sections.append(replace(section, name=name))
    return replace(obj, sections=tuple(sections))


# --- which code goes behind which function


def _behind(view: View, entries: Mapping[Unit, str], stays: bool) -> dict[Unit, list[Unit]]:
    """Return replacing function -> the code to place behind it, in order.

    :param entries: replacing function -> the object in which it replaces another.
    """
    colds: dict[Unit, list[Unit]] = defaultdict(list)
    for unit in view.units:
        if unit.is_function and whole_function(view, unit) != unit:
            colds[whole_function(view, unit)].append(unit)
    behind = {entry: list(colds[entry]) for entry in entries if colds[entry]}
    for function, users in _not_only_called(view, entries).items():
        if stays and not all(_is_movable(view, unit) for unit in (function, *users)):
            continue
        entry = _seen_with(view, function, users, entries)
        behind.setdefault(entry, []).extend((function, *colds[function]))
    for entry, units in behind.items():
        for unit in (entry, *units):
            _refuse_immovable(view, unit)
    return behind


def _refuse_immovable(view: View, unit: Unit) -> None:
    """Refuse code that must stay in its section, or shares it.

    For example, a new ``noinstr`` function has to stay in ``.noinstr.text``, where kprobes finds
    the code that must not be probed; behind a function in ``.text`` it would be probed.
    """
    if not _is_movable(view, unit):
        found = f"is not entered by calls alone, and has to stay in {view.section(unit).name}"
        raise Refusal(TAIL_CALL_UNSEEN, f"{view.obj.name}: {unit.name}()", found)


def _is_movable(view: View, unit: Unit) -> bool:
    return not view.section(unit).name.startswith(SHARED) and _is_alone(view, unit)


def _is_alone(view: View, unit: Unit) -> bool:
    """Whether a unit has its section for itself, apart from objtool's symbol for its padding.

    objtool names that after any of the function's names: ``__pfx_livepatch_function_0`` since 6.19.
    """
    paddings = {f"{PREFIX}{name}" for name in (unit.name, *unit.aliases)}
    return all(other == unit or other.name in paddings for other in view.units_in(unit.section))


def _not_only_called(view: View, entries: Mapping[Unit, str]) -> dict[Unit, dict[Unit, None]]:
    """Return the new functions that are not entered by calls alone, and the entries that lead to
    each.

    For example, where a new ``work()`` ends with ``return helper(x);``, GCC jumps to ``helper()``:
    a task that sleeps there has the return address of the caller of ``work()`` on its stack, and
    nothing of ``work()``.
    """
    targets = _Targets(view)
    users: dict[Unit, dict[Unit, None]] = defaultdict(dict)
    not_only_called: dict[Unit, None] = {}
    for entry in entries:
        for target, by_call in _reachable(targets, entry):
            if target.is_function and target not in entries:
                users[target][entry] = None
                if not by_call:
                    not_only_called[target] = None
    return {function: users[function] for function in not_only_called}


def _reachable(targets: _Targets, entry: Unit) -> Iterator[tuple[Unit, bool]]:
    """Yield each unit that is reached from `entry`, and whether by a call, for each way to it."""
    seen: set[Node] = {entry}
    # Any function may contain the code of .altinstr_replacement.
    todo: list[Node] = [entry, *targets.unnamed_code]
    while todo:
        for target, by_call in targets.of(todo.pop()):
            if isinstance(target, Unit):
                yield target, by_call
            if target not in seen:
                seen.add(target)
                todo.append(target)


def _seen_with(
    view: View, function: Unit, users: Mapping[Unit, None], entries: Mapping[Unit, str]
) -> Unit:
    """Return the entry behind which `function` is placed.

    The core looks for the functions of objects that are loaded (klp_check_stack()), and the core
    kernel always is.  A helper of ext4's and xfs's new code cannot be behind one of both: without
    ext4, the core would not look for ext4's function, while a task may sleep in the helper for xfs.
    """
    always = [entry for entry, objname in entries.items() if objname == VMLINUX]
    if len({entries[entry] for entry in users}) > 1 and not always:
        found = "is not entered by calls alone, and functions of several modules use it"
        raise Refusal(TAIL_CALL_UNSEEN, f"{view.obj.name}: {function.name}()", found)
    return next(
        (entry for entry in users if entry in always), always[0] if always else next(iter(users))
    )


class _Targets:
    """The code and data that each part of a module refers to.

    :ivar unnamed_code: the code sections without symbols, such as ``.altinstr_replacement``.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._known: dict[Node, list[tuple[Node, bool]]] = {}
        self.unnamed_code = [
            index
            for index, section in enumerate(view.obj.sections)
            if section.is_code and not view.units_in(index)
        ]

    def of(self, node: Node) -> list[tuple[Node, bool]]:
        """Return the targets of a node, and whether it calls each so that the caller stays on the
        stack.

        A function includes its ``.cold`` part, as node and as target.
        """
        if node not in self._known:
            self._known[node] = list(self._found(node))
        return self._known[node]

    def _found(self, node: Node) -> Iterator[tuple[Node, bool]]:
        view = self._view
        for start, end, reference in self._references(node):
            match reference.target:
                case ToUnit(unit, offset):
                    function = whole_function(view, unit)
                    if function != node:
                        # After a call at the very end of a function, as GCC makes of panic(), the
                        # return address is that of the next function.
                        returns = reference.offset + reference.kind.size < end - start
                        is_whole = not offset and function == unit
                        yield function, reference.is_call and is_whole and returns
                case ToAnonymous(section) if section != node and not self._is_special(section):
                    yield section, False

    def _is_special(self, section: int) -> bool:
        """Whether a section only describes code: what gets the address of a ``struct bug_entry``,
        as the ``WARN_ONCE()`` of 6.19 passes it on, does not enter the code that it is about."""
        obj = self._view.obj
        return obj.sections[section].name in sections(obj.arch)

    def _references(self, node: Node) -> Iterator[tuple[int, int, Reference]]:
        view = self._view
        if isinstance(node, int):
            ranges = [(node, 0, view.obj.sections[node].size)]
        else:
            parts = (
                unit
                for unit in view.units
                if unit == node or (is_cold(unit.name) and whole_function(view, unit) == node)
            )
            ranges = [(unit.section, unit.start, unit.end) for unit in parts]
        for section, start, end in ranges:
            yield from (
                (start, end, reference) for reference in view.references_in(section, start, end)
            )


# --- placing it


@dataclass(frozen=True, slots=True)
class _CodePlace:
    """The new place of a section's contents: in another section, from offset `base`."""

    section: int
    base: int


def _placed(module: ObjectFile, behind: Mapping[Unit, Sequence[Unit]]) -> ObjectFile:
    """Append the sections of units to the sections of the functions before them."""
    sections = list(module.sections)
    moved: dict[int, _CodePlace] = {}
    for entry, units in behind.items():
        for unit in units:
            sections[entry.section], base = _appended(
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


def _appended(section: Section, other: Section, filler: bytes) -> tuple[Section, int]:
    """Return `section` with the contents of `other` behind its own, and where they begin."""
    align = max(other.addralign, 1)
    gap = -section.size % align
    data = section.data + filler * (gap // len(filler))
    joined = data + other.data
    return replace(
        section, data=joined, size=len(joined), addralign=max(section.addralign, align)
    ), len(data)


def _moved(symbol: Symbol, moved: Mapping[int, _CodePlace]) -> Symbol:
    """Return a symbol at its new place.

    A section symbol becomes the other section's, at 0: `_retargeted` adds the distance to the
    references.
    """
    place = moved.get(symbol.shndx) if symbol.is_defined_here else None
    if place is None:
        return symbol
    return replace(
        symbol,
        shndx=place.section,
        value=symbol.value + (place.base if symbol.type != STT_SECTION else 0),
    )


def _hidden(symbol: Symbol, starts: Mapping[int, int]) -> Symbol:
    """Hide a symbol behind a replacing function from kallsyms.

    :param starts: section -> start of its replacing function.
    """
    start = starts.get(symbol.shndx) if symbol.is_defined_here else None
    if start is None or symbol.value <= start or not symbol.name:
        return symbol
    return replace(symbol, name=f"{LOCAL_LABEL}{symbol.name}", bind=STB_LOCAL)


def _retargeted(
    relocation: Relocation, module: ObjectFile, moved: Mapping[int, _CodePlace], base: int
) -> Relocation:
    """Return a relocation with its new offset and, against a moved section's symbol, addend.

    :param base: the new offset of the section that it applies to.
    """
    symbol = module.symbols[relocation.symbol]
    is_moved = symbol.type == STT_SECTION and symbol.shndx in moved
    distance = moved[symbol.shndx].base if is_moved else 0
    return relocation._replace(offset=relocation.offset + base, addend=relocation.addend + distance)
