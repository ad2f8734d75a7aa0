# SPDX-License-Identifier: GPL-2.0-or-later
"""Read any livepatch module back into the model, whoever built it.

The tables are found by what they point at, for a module carries no types: a ``struct klp_patch`` begins with pointers
to ``__this_module`` and to an array of ``struct klp_object``; each of those has a name (or NULL) and a pointer to an
array of ``struct klp_func``; and each of those, if there are any, begins with a string, the new function and
``old_sympos`` (``include/linux/livepatch.h``).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from suture.elf import reader
from suture.elf.object import (
    SHF_STRINGS,
    SHF_WRITE,
    SHN_LIVEPATCH,
    STT_FUNC,
    STT_OBJECT,
    STT_SECTION,
    ObjectFile,
    Symbol,
)
from suture.errors import NOT_A_LIVE_PATCH, Refusal
from suture.host.files import read_bytes
from suture.link.klp import external_symbol
from suture.model import VMLINUX, Callback, CallbackKind, ExternalSymbol, LivePatch, PatchedFunction, PatchedObject

Place = tuple[int, int]
"""Section index and offset in it."""

R_X86_64_64 = 1
CALLBACKS = tuple(CallbackKind)  # struct klp_callbacks, in its order, from offset 16 of struct klp_object


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
    def release(self) -> str:
        """The kernel it is for: the first word of its vermagic."""
        return next((value.split()[0] for key, value in self.modinfo if key == "vermagic" and value.strip()), "")


def read_file(path: Path) -> Inspection:
    """:raises Refusal: ``file-unreadable``, ``object-malformed``, ``object-unsupported``, ``not-a-live-patch``"""
    return inspect(reader.read(read_bytes(path), str(path)))


def inspect(module: ObjectFile) -> Inspection:
    """:raises Refusal: ``not-a-live-patch``"""
    info = _modinfo(module)
    if ("livepatch", "Y") not in info:
        raise Refusal(NOT_A_LIVE_PATCH, module.name, "its .modinfo does not say livepatch=Y")
    pointers = _pointers(module)
    patch = next(_patches(module, pointers), None)
    if patch is None:
        raise Refusal(NOT_A_LIVE_PATCH, module.name, "it holds no struct klp_patch that Suture can find")
    name = next((value for key, value in info if key == "name"), Path(module.name).stem)
    objects = tuple(_objects(module, pointers, pointers[patch[0], patch[1] + 8]))
    return Inspection(
        LivePatch(name, objects, _replace(module, patch, info)),
        tuple(_references(module)),
        tuple(symbol.name for symbol in module.symbols if symbol.is_undefined and symbol.name),
        info,
    )


def _modinfo(module: ObjectFile) -> tuple[tuple[str, str], ...]:
    index = module.section_named(".modinfo")
    entries = module.sections[index].data.decode("utf-8", "replace").split("\0") if index else []
    return tuple((key, value) for key, equals, value in (entry.partition("=") for entry in entries) if equals)


def _pointers(module: ObjectFile) -> Mapping[Place, Place]:
    """Every pointer in data: where it stands -> where it points.  ``__this_module`` is what points at itself alone."""
    found: dict[Place, Place] = {}
    for section, relocations in module.relocations.items():
        if module.sections[section].is_code or not module.sections[section].is_allocated:
            continue
        for relocation in relocations:
            symbol = module.symbols[relocation.symbol]
            if relocation.type == R_X86_64_64 and symbol.is_defined_here:
                found[section, relocation.offset] = symbol.shndx, symbol.value + relocation.addend
    return found


def _patches(module: ObjectFile, pointers: Mapping[Place, Place]) -> Iterator[Place]:
    this_module = module.section_named(".gnu.linkonce.this_module")
    for (section, offset), target in pointers.items():
        objects = pointers.get((section, offset + 8))
        if target == (this_module, 0) and objects and next(_objects(module, pointers, objects), None):
            yield section, offset


def _objects(module: ObjectFile, pointers: Mapping[Place, Place], start: Place) -> Iterator[PatchedObject]:
    for place in _entries(module, pointers, start, lambda entry: _is_object(module, pointers, entry)):
        functions = pointers[place[0], place[1] + 8]
        name = pointers.get(place)
        yield PatchedObject(
            VMLINUX if name is None else _text(module, name) or "",
            tuple(_functions(module, pointers, functions)),
            tuple(_callbacks(module, pointers, place)),
        )


def _functions(module: ObjectFile, pointers: Mapping[Place, Place], start: Place) -> Iterator[PatchedFunction]:
    for section, offset in _entries(module, pointers, start, lambda entry: _is_function(module, pointers, entry)):
        old_name = _text(module, pointers[section, offset]) or ""
        new = _symbol_at(module, pointers[section, offset + 8])
        (sympos,) = struct.unpack_from("<Q", module.sections[section].data.ljust(offset + 24, b"\0"), offset + 16)
        yield PatchedFunction(old_name, sympos, new.name if new else "")


def _callbacks(module: ObjectFile, pointers: Mapping[Place, Place], place: Place) -> Iterator[Callback]:
    for number, kind in enumerate(CALLBACKS):
        target = pointers.get((place[0], place[1] + 16 + 8 * number))
        symbol = _symbol_at(module, target) if target else None
        if symbol is not None:
            yield Callback(kind, symbol.name)


def _entries(
    module: ObjectFile, pointers: Mapping[Place, Place], start: Place, is_entry: Callable[[Place], bool]
) -> Iterator[Place]:
    """The entries of an array: its first, then every following one at the same distance, within its symbol."""
    if not is_entry(start):
        return
    yield start
    section, offset = start
    end = _end(module, start)
    following = [place for place in range(offset + 8, end, 8) if is_entry((section, place))]
    if not following:
        return
    stride = following[0] - offset
    for place in range(offset + stride, end, stride):
        if not is_entry((section, place)):
            return  # the terminating entry
        yield section, place


def _end(module: ObjectFile, start: Place) -> int:
    """Where the array that starts there ends: by its symbol, else with its section."""
    for _, symbol in module.symbols_of_type(STT_OBJECT):
        if symbol.shndx == start[0] and symbol.value <= start[1] < symbol.value + symbol.size:
            return symbol.value + symbol.size
    return module.sections[start[0]].size


def _is_object(module: ObjectFile, pointers: Mapping[Place, Place], place: Place) -> bool:
    name, functions = pointers.get(place), pointers.get((place[0], place[1] + 8))
    if functions is None or (name is not None and _text(module, name) is None):
        return False
    if _is_function(module, pointers, functions):
        return True
    # With callbacks alone, it still has a table of functions (klp_init_patch_early()), which the core could write to.
    writable = bool(module.sections[functions[0]].flags & SHF_WRITE)
    return writable and next(_callbacks(module, pointers, place), None) is not None


def _is_function(module: ObjectFile, pointers: Mapping[Place, Place], place: Place) -> bool:
    name, code = pointers.get(place), pointers.get((place[0], place[1] + 8))
    return (
        name is not None and code is not None and _text(module, name) is not None and module.sections[code[0]].is_code
    )


def _text(module: ObjectFile, place: Place) -> str | None:
    section = module.sections[place[0]]
    end = section.data.find(b"\0", place[1])
    if not section.flags & SHF_STRINGS and not section.name.startswith(".rodata"):
        return None
    return section.data[place[1] : end].decode("utf-8", "replace") if end >= 0 else None


def _symbol_at(module: ObjectFile, place: Place) -> Symbol | None:
    here = [s for _, s in module.symbols_of_type(STT_FUNC) if (s.shndx, s.value) == place and s.type != STT_SECTION]
    return here[0] if here else None


def _replace(module: ObjectFile, patch: Place, info: tuple[tuple[str, str], ...]) -> bool:
    """``struct klp_patch.replace``: since 5.5 `states` stands before it.

    Nothing in a module but its vermagic tells the two shapes apart.
    """
    vermagic = next((value for key, value in info if key == "vermagic"), "")
    numbers = [int(part) for part in vermagic.split("-")[0].split(".")[:2] if part.isdigit()]
    offset = patch[1] + (16 if numbers < [5, 5] and numbers else 24)
    data = module.sections[patch[0]].data
    return offset < len(data) and data[offset] != 0


def _references(module: ObjectFile) -> Iterator[LivepatchReference]:
    for group in module.livepatch:
        objname = group.name.removeprefix(".klp.rela.").split(".", 1)[0]
        for relocation in group.relocations:
            symbol = module.symbols[relocation.symbol]
            external = external_symbol(symbol)
            if external is None:
                raise Refusal(
                    NOT_A_LIVE_PATCH,
                    f"{module.name}: {group.name}",
                    f"refers to {symbol.name or 'an unnamed symbol'}, which is no livepatch symbol"
                    + ("" if symbol.shndx == SHN_LIVEPATCH else " (its section is not SHN_LIVEPATCH)"),
                )
            yield LivepatchReference(objname, module.sections[group.section].name, relocation.offset, external)
