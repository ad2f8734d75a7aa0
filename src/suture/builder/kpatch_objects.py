# SPDX-License-Identifier: GPL-2.0-or-later
"""A module for kpatch's own core, or an object of its comparison step -> parts of a live patch.

1. Each place that kpatch's core fills in gets a relocation to an undefined symbol again
   (`suture.module.kpatch`).
2. The new code of each object of the kernel is cut out with all that it needs, as the changed code
   of a diff is.
3. Symbols that stay in the kernel are looked up by name and position.

Without source, nothing can be compiled and compared.  Instead, everything that the file records
about its kernel has to hold for the target: the release, and the address and size of every old
function and symbol.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from suture.builder.part import Cut
from suture.diff.changes import Changes
from suture.diff.comparison import Side
from suture.diff.correlate import Correlation
from suture.diff.cut_out import cut_out
from suture.diff.hooks import FORCED, NOT_FORCED, TABLE, Hook, Hooks
from suture.diff.omitted import LeftOut, OmittedPart
from suture.diff.output import ModuleKeys, OutputObject
from suture.diff.plan import FilePlan
from suture.elf import reader
from suture.elf.object import (
    SHF_WRITE,
    SHN_UNDEF,
    STB_GLOBAL,
    STT_NOTYPE,
    ObjectFile,
    Relocation,
    Symbol,
)
from suture.errors import (
    FUNCTION_NOT_IN_KERNEL,
    FUNCTION_NOT_TRACEABLE,
    INIT_FUNCTION_CHANGED,
    KPATCH_OBJECT_FOREIGN,
    KPATCH_OBJECT_MALFORMED,
    KPATCH_OBJECT_SHARED,
    THREAD_FUNCTION_REPLACED,
    Finding,
    Refusal,
)
from suture.link.resolve.kpatch import DYNRELA, KpatchResolver, find_symbol
from suture.model import VMLINUX
from suture.module.inspect import release_of
from suture.module.kpatch import (
    FUNCTIONS,
    Dynrela,
    KpatchObject,
    OldFunction,
    Place,
    is_kpatch_object,
    read_kpatch,
)
from suture.objects.special import Entries
from suture.objects.view import Unit, View
from suture.verify import threads
from suture.verify.kernel import Kernel
from suture.verify.shipped import Shipped
from suture.verify.sympos import sympos

LOAD_IT = "Load it as it is; 'suture inspect' says what it replaces."

_SLACK = 64
"""Bytes that may lie between a function's end and the next symbol: padding."""


def cut_kpatch_object(
    data: bytes, name: str, kernel: Kernel
) -> tuple[list[Cut], tuple[LeftOut, ...], tuple[Finding, ...]]:
    """Cut out the new code of a file.

    :param data: the file's contents.
    :return: the cuts, what is left out, and the replaced functions that tasks stay in
        (``idle-function-replaced``, ``thread-function-replaced``), by old names.
    :raises Refusal: ``kpatch-object-malformed``, ``kpatch-object-foreign``,
        ``kpatch-object-shared``, ``function-not-in-kernel``, ``function-not-traceable``,
        ``init-function-changed``, ``symbol-not-found``, ``symbol-ambiguous``,
        ``module-dependency-new``, and what reading and cutting out raise
    """
    obj = reader.read(data, name)
    if not is_kpatch_object(obj):
        raise Refusal(KPATCH_OBJECT_MALFORMED, name, f"has no section {FUNCTIONS}")
    if obj.livepatch:
        raise Refusal(
            KPATCH_OBJECT_MALFORMED,
            name,
            "is a module for the kernel's own core already",
            remedy=LOAD_IT,
        )
    kpatch = read_kpatch(obj)
    made_for = release_of(obj)
    if made_for and made_for != kernel.target.release:
        raise Refusal(
            KPATCH_OBJECT_FOREIGN, name, f"is for {made_for}, not for {kernel.target.release}"
        )
    if not kpatch.functions and not kpatch.calls:
        raise Refusal(KPATCH_OBJECT_MALFORMED, name, "replaces nothing and calls nothing")
    view = View(_with_symbols(obj, kpatch.dynrelas))
    side = Side(view, Entries(view, kernel.entry_sizes))
    cuts = [_cut(objname, name, kpatch, side, kernel) for objname in _objnames(kpatch)]
    _refuse_shared_variables(name, cuts)
    forced = [
        OmittedPart("a function", FORCED, NOT_FORCED).for_user(name, VMLINUX)
        for section in obj.sections
        if section.name == FORCED and any(_relocations(obj, FORCED))
    ]
    return cuts, tuple(forced), tuple(_tasks_inside(view, kpatch, kernel))


def _tasks_inside(view: View, kpatch: KpatchObject, kernel: Kernel) -> Iterator[Finding]:
    """Find the replaced functions that idle tasks or kernel threads stay in."""
    mains = set(_new_thread_mains(view, kpatch))
    for function in kpatch.functions:
        name, where = function.name, f"{view.obj.name}: {function.name}()"
        shipped, known = kernel.shipped(function.objname), kernel.threads(function.objname)
        address = _old_function_address(function, shipped, view.obj.name)
        yield from threads.idle_function(known, address, name, where)
        why = threads.stays_in_target(known, function.objname, name, address)
        why = why or (threads.ASKS_TO_STOP if name in mains else "")
        if why:
            yield Finding(THREAD_FUNCTION_REPLACED, name, where, why)


def _new_thread_mains(view: View, kpatch: KpatchObject) -> Iterator[str]:
    """Yield the old names of functions whose new code is that of a thread's main function."""
    symbols = tuple(_with_own_name(symbol, kpatch.dynrelas) for symbol in view.obj.symbols)
    plain = View(replace(view.obj, symbols=symbols))
    replaced = {_unit(plain, function.new): function.name for function in kpatch.functions}
    yield from (replaced[function] for function in threads.thread_mains(plain, replaced))


def _with_own_name(symbol: Symbol, dynrelas: Sequence[Dynrela]) -> Symbol:
    """Give a symbol of `_with_symbols` the name of the kernel's symbol."""
    number = symbol.name.removeprefix(DYNRELA)
    return replace(symbol, name=dynrelas[int(number)].name) if number != symbol.name else symbol


def _relocations(obj: ObjectFile, section: str) -> Iterable[Relocation]:
    index = obj.section_named(section)
    return obj.relocations.get(index, ()) if index is not None else ()


def _objnames(kpatch: KpatchObject) -> list[str]:
    """Return the names of the kernel's objects that the file has new code or calls for."""
    replaced = {function.objname for function in kpatch.functions}
    return sorted(replaced | {call.objname for call in kpatch.calls})


def _with_symbols(obj: ObjectFile, dynrelas: Iterable[Dynrela]) -> ObjectFile:
    """Add a relocation to a new undefined symbol for each place that kpatch's core fills in.

    :raises Refusal: ``kpatch-object-malformed``
    """
    symbols = list(obj.symbols)
    relocations = {section: list(held) for section, held in obj.relocations.items()}
    for number, dynrela in enumerate(dynrelas):
        section, offset = dynrela.place
        held = relocations.setdefault(section, [])
        if any(relocation.offset == offset for relocation in held):
            where = f"{obj.name}: {obj.sections[section].name}+{offset:#x}"
            raise Refusal(KPATCH_OBJECT_MALFORMED, where, "is filled in twice")
        held.append(Relocation(offset, dynrela.type, len(symbols), dynrela.addend))
        symbols.append(Symbol(f"{DYNRELA}{number}", 0, 0, STT_NOTYPE, STB_GLOBAL, SHN_UNDEF))
    ordered = {
        index: tuple(sorted(held, key=lambda r: r.offset)) for index, held in relocations.items()
    }
    return replace(obj, symbols=tuple(symbols), relocations=ordered)


def _cut(
    objname: str,
    name: str,
    kpatch: KpatchObject,
    side: Side,
    kernel: Kernel,
) -> Cut:
    """Cut out the new code for one object of the kernel."""
    shipped = kernel.shipped(objname)
    functions = [function for function in kpatch.functions if function.objname == objname]
    replaced = {_unit(side.view, function.new): function for function in functions}
    if len(replaced) != len(functions):
        raise Refusal(KPATCH_OBJECT_MALFORMED, name, "two old functions have one new one")
    places = {}
    for unit, function in replaced.items():
        address = _old_function_address(function, shipped, name)
        places[unit] = function.name, sympos(shipped, function.name, address)
    pairs = tuple((unit, unit) for unit in replaced)
    correlation = Correlation({unit: unit for unit in replaced})
    hooks = Hooks(tuple(_hooks(objname, name, kpatch, side)))
    changes = Changes(side, side, correlation, pairs, hooks=hooks)
    resolver = KpatchResolver(name, shipped, kernel, kpatch.dynrelas, places)
    output = cut_out(FilePlan.of(changes), objname, resolver)
    if isinstance(output, ModuleKeys):
        raise output.refusal()
    return Cut(name, output, tuple(places[unit] for unit in replaced), of_input=True)


def _hooks(objname: str, name: str, kpatch: KpatchObject, side: Side) -> Iterator[Hook]:
    """Yield the functions that kpatch's core calls for one object of the kernel."""
    stages = {stage.section: stage for stage in TABLE}
    for call in kpatch.calls:
        if call.section not in stages:
            found = f"{call.section} is none of kpatch's sections"
            raise Refusal(KPATCH_OBJECT_MALFORMED, name, found)
        if call.objname == objname:
            yield Hook(stages[call.section], _unit(side.view, call.function))


def _unit(view: View, place: Place) -> Unit:
    """Return the function that starts at a place."""
    unit = view.unit_at(*place)
    if unit is None or not unit.is_function or unit.start != place[1]:
        found = f"{view.obj.sections[place[0]].name}+{place[1]:#x} is not the start of a function"
        raise Refusal(KPATCH_OBJECT_MALFORMED, view.obj.name, found)
    return unit


def _old_function_address(function: OldFunction, shipped: Shipped, name: str) -> int:
    """Find an old function in the target; return its address."""
    where = f"{name}: {function.name}()"
    address = find_symbol(
        where, shipped, function.name, function.address, function.sympos, FUNCTION_NOT_IN_KERNEL
    )
    if shipped.is_discarded(address):
        raise Refusal(
            INIT_FUNCTION_CHANGED,
            where,
            f"is in the part of {shipped.objname} that is freed after init",
        )
    room = _room(shipped, address, function.size)
    if function.size and function.address and not function.size <= room < function.size + _SLACK:
        found = (
            f"had {function.size} bytes there; "
            f"in this kernel the next symbol is {room} bytes further on"
        )
        raise Refusal(KPATCH_OBJECT_FOREIGN, where, found)
    if not _has_fentry_call(shipped, address):
        raise Refusal(FUNCTION_NOT_TRACEABLE, where, "has no fentry call")
    return address


def _room(shipped: Shipped, address: int, size: int) -> int:
    """Return the bytes up to the next symbol, at most `size` and some padding."""
    for length in range(1, size + _SLACK + 1):
        if shipped.names(address + length):
            return length
    return size + _SLACK


def _has_fentry_call(shipped: Shipped, address: int) -> bool:
    entry = shipped.arch.entry
    target = entry.calls(shipped.read(address, entry.within) or b"", address)
    return target is not None and entry.hook in shipped.names(target)


def _refuse_shared_variables(name: str, cuts: Iterable[Cut]) -> None:
    """Refuse a variable that new code of two objects uses: each output object would have its own.

    :raises Refusal: ``kpatch-object-shared``
    """
    seen: dict[str, str] = {}
    for cut in cuts:
        for variable in _variables(cut.output):
            if variable in seen:
                found = f"is used by new code of {seen[variable]} and of {cut.output.objname}"
                raise Refusal(KPATCH_OBJECT_SHARED, f"{name}: {variable}", found)
        seen |= dict.fromkeys(_variables(cut.output), cut.output.objname)


def _variables(output: OutputObject) -> set[str]:
    """Return the names of the variables that code may write."""
    sections = output.obj.sections
    return {
        symbol.name
        for symbol in output.obj.symbols
        if symbol.name and symbol.is_defined_here and sections[symbol.shndx].flags & SHF_WRITE
    }
