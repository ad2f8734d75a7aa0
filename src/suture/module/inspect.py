# SPDX-License-Identifier: GPL-2.0-or-later
"""Read any livepatch module back into the model, whoever built it.

The tables are found by what they point at, for a module carries no types: a ``struct klp_patch``
begins with pointers to ``__this_module`` and to an array of ``struct klp_object``; each of those
has a name (or NULL) and a pointer to an array of ``struct klp_func``; and each of those, if there
are any, begins with a string, the new function and ``old_sympos`` (``include/linux/livepatch.h``).
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from suture.elf import reader
from suture.elf.object import (
    SHF_STRINGS,
    SHF_WRITE,
    SHN_LIVEPATCH,
    STT_FUNC,
    STT_OBJECT,
    WORD,
    ObjectFile,
    Symbol,
)
from suture.errors import NOT_A_LIVE_PATCH, RELOCATIONS_UNAPPLIED, WRONG_RELEASE, Refusal
from suture.host.files import read_bytes
from suture.model import (
    VMLINUX,
    Callback,
    CallbackKind,
    ExternalSymbol,
    LivePatch,
    PatchedFunction,
    PatchedObject,
    SymbolReference,
)
from suture.module import modinfo, notes, updates
from suture.module.klp_structs import (
    FUNCTION_NEW,
    FUNCTION_SYMPOS,
    OBJECT_CALLBACKS,
    OBJECT_FUNCTIONS,
    PATCH_OBJECTS,
    PATCH_REPLACE,
    PATCH_REPLACE_BEFORE_5_5,
)

Place = tuple[int, int]
"""Section index and offset in it."""

LONGEST_NAME = 512  # include/linux/kallsyms.h: KSYM_NAME_LEN
CALLBACKS = tuple(
    CallbackKind
)  # struct klp_callbacks, in its order, from offset 16 of struct klp_object
FUNCTION_HEAD = (
    24  # bytes of struct klp_func that a live patch sets: old_name, new_func, old_sympos
)


@dataclass(frozen=True, slots=True)
class LivepatchReference:
    """One livepatch relocation.

    :ivar objname: the object with which the core applies it.
    :ivar section: the section it applies to; `offset` in bytes.
    """

    objname: str
    section: str
    offset: int
    symbol: ExternalSymbol


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a live patch module contains.

    :ivar imports: symbols that it links against as any module does.
    :ivar modinfo: its ``.modinfo``, in order.
    """

    patch: LivePatch
    references: tuple[LivepatchReference, ...]
    imports: tuple[str, ...]
    modinfo: tuple[tuple[str, str], ...]

    @property
    def unapplied(self) -> tuple[str, ...]:
        """The objects that relocations are filed under and that the live patch does not list.

        The core applies the relocations of an object when it patches that object, and those for
        the core kernel when the module is loaded (kernel/livepatch/core.c:
        klp_init_object_loaded(), kernel/module/main.c: apply_relocations()).
        """
        listed = {VMLINUX, *(patched.name for patched in self.patch.objects)}
        filed = dict.fromkeys(reference.objname for reference in self.references)
        return tuple(objname for objname in filed if objname not in listed)

    @property
    def release(self) -> str:
        """The kernel it is for: the first word of its vermagic."""
        return _release(self.modinfo)


def read_file(path: Path) -> Inspection:
    """Read a live patch module from a file.

    :raises Refusal: ``file-unreadable``, ``object-malformed``, ``object-unsupported``,
        ``not-a-live-patch``
    """
    return inspect(reader.read(read_bytes(path), str(path)))


def refuse_unapplied(found: Inspection, where: str) -> None:
    """Refuse a module with relocations that nothing applies.

    :raises Refusal: ``relocations-unapplied``
    """
    for objname in found.unapplied:
        place = next(one for one in found.references if one.objname == objname)
        said = (
            f"{place.section}+{place.offset:#x} is to be resolved with {objname}, "
            "which the live patch does not list"
        )
        raise Refusal(RELOCATIONS_UNAPPLIED, where, said)


def refuse_other_release(found: Inspection, release: str, where: str) -> None:
    """Refuse a module that is for another kernel than `release`.

    The kernel does not do it where it has CRCs (CONFIG_MODVERSIONS; kernel/module/version.c:
    ``same_magic()`` leaves the release out): 6.12.118+deb13-amd64 loads a live patch that was
    compiled by another compiler for 6.12.115+deb12-amd64.

    :raises Refusal: ``wrong-release``
    """
    if found.release != release:
        built_for = found.release or "no kernel that it names"
        raise Refusal(WRONG_RELEASE, where, f"it is for {built_for}, not for {release}")


def inspect(module: ObjectFile) -> Inspection:
    """Read what a live patch module contains.

    :raises Refusal: ``not-a-live-patch``, ``kpatch-object-malformed``
    """
    info = modinfo.entries(module)
    if ("livepatch", "Y") not in info:
        if _has_kpatchs_tables(module):
            return _of_kpatch(module, info, replaces=False)
        raise Refusal(NOT_A_LIVE_PATCH, module.name, "its .modinfo does not say livepatch=Y")
    tables = Tables(module)
    patch = next(patches(tables), None)
    if patch is None and _has_kpatchs_tables(module):
        return _of_kpatch(
            module, info, replaces=True
        )  # as kpatch-build has it, unless told otherwise
    if patch is None:
        raise Refusal(NOT_A_LIVE_PATCH, module.name, "Suture finds no struct klp_patch in it")
    name = next((value for key, value in info if key == "name"), Path(module.name).stem)
    objects = tuple(
        _objects(tables, tables.pointers[patch[0], patch[1] + PATCH_OBJECTS], modinfo.sources(info))
    )
    references = tuple(_references(module))
    found = LivePatch(
        name,
        objects,
        _replace(module, patch, info),
        modinfo.shadows(info),
        distinct(references),
        modinfo.findings(info),
        modinfo.stays(info),
        modinfo.fixes(info),
        updates.parse_note(notes.contents(module), module.machine.prefix),
    )
    return Inspection(
        found,
        references,
        tuple(symbol.name for symbol in module.symbols if symbol.is_undefined and symbol.name),
        info,
    )


def _has_kpatchs_tables(module: ObjectFile) -> bool:
    return module.section_named(".kpatch.funcs") is not None


def _of_kpatch(
    module: ObjectFile, info: tuple[tuple[str, str], ...], *, replaces: bool
) -> Inspection:
    from suture.module import inspect_kpatch  # loading live patches needs none of it

    name = next((value for key, value in info if key == "name"), "")
    dynrelas = tuple(
        LivepatchReference(
            dynrela.objname, module.sections[dynrela.place[0]].name, dynrela.place[1], symbol
        )
        for dynrela, symbol in inspect_kpatch.dynrelas_of(module)
    )
    undefined = tuple(
        symbol.name for symbol in module.symbols if symbol.is_undefined and symbol.name
    )
    references = dynrelas + tuple(_references(module))
    return Inspection(
        replace(inspect_kpatch.model_of(module, name, replaces), references=distinct(references)),
        references,
        undefined + inspect_kpatch.imports_of(module),
        info,
    )


def release_of(module: ObjectFile) -> str:
    """The kernel that a module is for; "" where its file does not say."""
    return _release(modinfo.entries(module))


def _release(info: tuple[tuple[str, str], ...]) -> str:
    return next(
        (value.split()[0] for key, value in info if key == "vermagic" and value.strip()), ""
    )


def distinct(references: Iterable[LivepatchReference]) -> tuple[SymbolReference, ...]:
    """What is referred to, each once, sorted."""
    found = {SymbolReference(one.objname, one.symbol) for one in references}
    return tuple(sorted(found, key=lambda one: (one.objname, str(one.symbol))))


class Tables:
    """What is looked up again and again in a module.

    :ivar pointers: every pointer in data: where it stands -> where it points.
    """

    def __init__(self, module: ObjectFile) -> None:
        self.module = module
        self.pointers = _pointers(module)
        self._places: dict[int, list[int]] = defaultdict(list)
        for section, offset in sorted(self.pointers):
            self._places[section].append(offset)
        self._functions: dict[Place, Symbol] = {}
        for _, symbol in module.symbols_of_type(STT_FUNC):
            self._functions.setdefault((symbol.shndx, symbol.value), symbol)
        self._arrays: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for _, symbol in module.symbols_of_type(STT_OBJECT):
            self._arrays[symbol.shndx].append((symbol.value, symbol.value + symbol.size))
        for arrays in self._arrays.values():
            arrays.sort()

    def pointers_in(self, section: int, start: int, end: int) -> Iterator[int]:
        """Yield the offsets of the pointers in a range of a section, in ascending order."""
        offsets = self._places.get(section, [])
        for position in range(bisect_left(offsets, start), bisect_left(offsets, end)):
            yield offsets[position]

    def function_at(self, place: Place) -> Symbol | None:
        """Return the symbol of the function that starts at a place, or None."""
        return self._functions.get(place)

    def end_of_array(self, start: Place) -> int:
        """Return the offset at which an array ends: by its symbol, else the end of its section."""
        arrays = self._arrays.get(start[0], [])
        position = bisect_right(arrays, (start[1], 1 << 64)) - 1
        if position >= 0 and start[1] < arrays[position][1]:
            return arrays[position][1]
        return self.module.sections[start[0]].size


def _pointers(module: ObjectFile) -> Mapping[Place, Place]:
    """``__this_module`` is what points at itself alone."""
    found: dict[Place, Place] = {}
    address = module.arch.relocations.address
    for section, relocations in module.relocations.items():
        if module.sections[section].is_code or not module.sections[section].is_allocated:
            continue
        for relocation in relocations:
            symbol = module.symbols[relocation.symbol]
            if relocation.type == address and symbol.is_defined_here:
                found[section, relocation.offset] = symbol.shndx, symbol.value + relocation.addend
    return found


def patches(tables: Tables) -> Iterator[Place]:
    """Yield the places of the ``struct klp_patch`` in a module: it points to ``__this_module`` and
    to an array of ``struct klp_object`` (include/linux/livepatch.h)."""
    this_module = tables.module.section_named(".gnu.linkonce.this_module")
    for (section, offset), target in tables.pointers.items():
        objects = tables.pointers.get((section, offset + PATCH_OBJECTS))
        if target == (this_module, 0) and objects and _is_object(tables, objects):
            yield section, offset


def _objects(
    tables: Tables, start: Place, sources: Mapping[modinfo.Replaced, str]
) -> Iterator[PatchedObject]:
    module, pointers = tables.module, tables.pointers
    listed: set[Place] = set()
    for place in _entries(tables, start, lambda entry: _is_object(tables, entry)):
        functions = pointers[place[0], place[1] + OBJECT_FUNCTIONS]
        if functions in listed and _is_function(tables, functions):
            raise Refusal(
                NOT_A_LIVE_PATCH, module.name, "two of its objects have the same functions"
            )
        listed.add(functions)
        named = pointers.get(place)
        name = VMLINUX if named is None else text(module, named) or ""
        replaced = (
            replace(one, source=sources.get((name, one.old_name, one.sympos), ""))
            for one in _functions(tables, functions)
        )
        yield PatchedObject(name, tuple(replaced), tuple(_callbacks(tables, place)))


def _functions(tables: Tables, start: Place) -> Iterator[PatchedFunction]:
    module, pointers = tables.module, tables.pointers
    for section, offset in _entries(tables, start, lambda entry: _is_function(tables, entry)):
        old_name = text(module, pointers[section, offset]) or ""
        new = tables.function_at(pointers[section, offset + FUNCTION_NEW])
        first = offset + FUNCTION_SYMPOS
        field = module.sections[section].data[first : first + WORD]
        sympos = int.from_bytes(field, module.machine.order)
        yield PatchedFunction(old_name, sympos, new.name if new else "")


def _callbacks(tables: Tables, place: Place) -> Iterator[Callback]:
    for number, kind in enumerate(CALLBACKS):
        field = place[1] + OBJECT_CALLBACKS + WORD * number
        target = tables.pointers.get((place[0], field))
        symbol = tables.function_at(target) if target else None
        if symbol is not None:
            yield Callback(kind, symbol.name)


def _entries(tables: Tables, start: Place, is_entry: Callable[[Place], bool]) -> Iterator[Place]:
    """The entries of an array: its first, then every following one at the same distance, within its
    symbol."""
    if not is_entry(start):
        return
    yield start
    section, offset = start
    end = tables.end_of_array(start)
    # An object of the core kernel has no pointer to a name: its first pointer is to its functions.
    pointers = tables.pointers_in(section, offset + WORD, end)
    candidates = chain.from_iterable((place - OBJECT_FUNCTIONS, place) for place in pointers)
    following = next(
        (p for p in candidates if offset < p and (p - offset) % 8 == 0 and is_entry((section, p))),
        None,
    )
    if following is None:
        return
    stride = following - offset
    for place in range(offset + stride, end, stride):
        if not is_entry((section, place)):
            return  # the terminating entry
        yield section, place


def _is_object(tables: Tables, place: Place) -> bool:
    module, pointers = tables.module, tables.pointers
    name = pointers.get(place)
    functions = pointers.get((place[0], place[1] + OBJECT_FUNCTIONS))
    if functions is None or (name is not None and text(module, name) is None):
        return False
    if _is_function(tables, functions):
        return True
    # With callbacks alone, or for its relocations, it still has a table of functions
    # (klp_init_patch_early()), which the core could write to.
    if not module.sections[functions[0]].flags & SHF_WRITE:
        return False
    if next(_callbacks(tables, place), None) is not None:
        return True
    return name is not None and _is_empty(tables, functions)


def _is_empty(tables: Tables, place: Place) -> bool:
    """A table of functions that holds its terminating entry alone: zeros and no pointer."""
    section = tables.module.sections[place[0]]
    end = place[1] + FUNCTION_HEAD
    if next(tables.pointers_in(place[0], place[1], end), None) is not None:
        return False
    return end <= section.size and not any(section.data[place[1] : end])


def _is_function(tables: Tables, place: Place) -> bool:
    module, pointers = tables.module, tables.pointers
    name, code = pointers.get(place), pointers.get((place[0], place[1] + FUNCTION_NEW))
    return (
        name is not None
        and code is not None
        and text(module, name) is not None
        and module.sections[code[0]].is_code
    )


def text(module: ObjectFile, place: Place) -> str | None:
    """The string at a place in data; None where there is none."""
    section = module.sections[place[0]]
    if not section.flags & SHF_STRINGS and not section.name.startswith(".rodata"):
        return None
    if not 0 <= place[1] < len(section.data):
        return None
    end = section.data.find(b"\0", place[1], place[1] + LONGEST_NAME)
    return section.data[place[1] : end].decode("utf-8", "replace") if end >= 0 else None


def _replace(module: ObjectFile, patch: Place, info: tuple[tuple[str, str], ...]) -> bool:
    """``struct klp_patch.replace``: since 5.5 `states` stands before it.

    Nothing in a module but its vermagic tells the two shapes apart.
    """
    vermagic = next((value for key, value in info if key == "vermagic"), "")
    numbers = [
        int(part)
        for part in vermagic.split("-")[0].split(".")[:2]
        if re.fullmatch("[0-9]{1,4}", part)
    ]
    is_older = numbers < [5, 5] and numbers
    offset = patch[1] + (PATCH_REPLACE_BEFORE_5_5 if is_older else PATCH_REPLACE)
    data = module.sections[patch[0]].data
    return offset < len(data) and data[offset] != 0


def _references(module: ObjectFile) -> Iterator[LivepatchReference]:
    for group in module.livepatch:
        objname = group.name.removeprefix(".klp.rela.").split(".", 1)[0]
        for relocation in group.relocations:
            symbol = module.symbols[relocation.symbol]
            external = ExternalSymbol.parse(symbol.name) if symbol.shndx == SHN_LIVEPATCH else None
            if external is None:
                raise Refusal(
                    NOT_A_LIVE_PATCH,
                    f"{module.name}: {group.name}",
                    f"refers to {symbol.name or 'an unnamed symbol'}, "
                    "which is not a livepatch symbol"
                    + (
                        ""
                        if symbol.shndx == SHN_LIVEPATCH
                        else " (its section is not SHN_LIVEPATCH)"
                    ),
                )
            yield LivepatchReference(
                objname, module.sections[group.section].name, relocation.offset, external
            )
