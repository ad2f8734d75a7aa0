# SPDX-License-Identifier: GPL-2.0-or-later
"""References that only the livepatch core can resolve
(``Documentation/livepatch/module-elf-format.rst``).

On the way through the linker and modpost such a reference is an ordinary relocation against an
undefined symbol ``<patched object>:.klp.sym.<objname>.<name>,<sympos>``.  `finish` makes of it a
``SHN_LIVEPATCH`` symbol and a relocation in ``.klp.rela.<objname>.<section>``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from suture.diff.output import OutputObject
from suture.elf.object import (
    SHN_LIVEPATCH,
    STB_GLOBAL,
    STT_FUNC,
    LivepatchRelocations,
    ObjectFile,
    Relocation,
    Symbol,
)
from suture.errors import MODULE_LINK_FAILED, Refusal
from suture.model import VMLINUX, ExternalSymbol

ENTRY = "livepatch_function_"
"""Begins the global names under which the glue finds new code; the functions keep their own names
besides."""

_PENDING = re.compile(r"^(?P<patched>[^:]+):(?P<symbol>\.klp\.sym\.(?P<objname>[^.]+)\..+,\d+)$")


@dataclass(frozen=True, slots=True)
class GlobalName:
    """A global name for new code: `name` stands for symbol `symbol` of the output object."""

    name: str
    symbol: int


def with_entries(output: OutputObject, first: int) -> tuple[ObjectFile, tuple[GlobalName, ...]]:
    """Give each function that replaces another a global name that the glue can use.

    :param first: number of the first name; names must be unique in the module.
    """
    return with_names(
        output, [f"{ENTRY}{number}" for number in range(first, first + len(output.replaced))]
    )


def with_names(
    output: OutputObject, names: Sequence[str]
) -> tuple[ObjectFile, tuple[GlobalName, ...]]:
    """The same with names of the caller's choice, one for each of `output.replaced`; they begin
    with `ENTRY`."""
    entries = tuple(
        GlobalName(name, made.symbol) for name, made in zip(names, output.replaced, strict=True)
    )
    return _with(output.obj, entries), entries


def _with(obj: ObjectFile, entries: Sequence[GlobalName]) -> ObjectFile:
    added = tuple(
        replace(obj.symbols[entry.symbol], name=entry.name, bind=STB_GLOBAL, type=STT_FUNC)
        for entry in entries
    )
    return replace(obj, symbols=(*obj.symbols, *added))


def with_calls(
    output: OutputObject, obj: ObjectFile, first: int
) -> tuple[ObjectFile, tuple[GlobalName, ...]]:
    """Give each function that the patch wants to be called a global name too.

    :param obj: `output.obj`, with other names added.
    :param first: number of the first name.
    """
    entries = tuple(
        GlobalName(f"{ENTRY}call_{number}", call.symbol)
        for number, call in enumerate(output.calls, first)
    )
    return _with(obj, entries), entries


def finish(module: ObjectFile) -> ObjectFile:
    """Write livepatch symbols and relocations, and let `ENTRY` names go."""
    symbols, moved_to = _livepatch_symbols(module)
    pending = {
        index: match
        for index, symbol in enumerate(module.symbols)
        if (match := _PENDING.match(symbol.name))
    }
    own_names = _own_names(module)
    ordinary: dict[int, tuple[Relocation, ...]] = {}
    livepatch: dict[tuple[str, int], list[Relocation]] = defaultdict(list)
    for section, relocations in module.relocations.items():
        kept = []
        for relocation in relocations:
            match = pending.get(relocation.symbol)
            if match is None:
                kept.append(_renamed(relocation, own_names, moved_to))
            else:
                # The object that must be there: a module's symbols are resolved when the patched
                # module is loaded, also those of modules it depends on (kernel/livepatch/core.c:
                # klp_resolve_symbols()).
                objname = VMLINUX if match["objname"] == VMLINUX else match["patched"]
                livepatch[objname, section].append(
                    relocation._replace(symbol=moved_to[relocation.symbol])
                )
        ordinary[section] = tuple(kept)
    groups = tuple(
        LivepatchRelocations(
            f".klp.rela.{objname}.{module.sections[section].name}", section, tuple(relocations)
        )
        for (objname, section), relocations in sorted(livepatch.items(), key=lambda item: item[0])
    )
    return replace(module, symbols=symbols, relocations=ordinary, livepatch=groups)


def pending_name(name: str) -> ExternalSymbol | None:
    """What an undefined symbol of that name will stand for when the module is finished."""
    match = _PENDING.match(name)
    return ExternalSymbol.parse(match["symbol"]) if match else None


def refuse_unresolved(module: ObjectFile, known: frozenset[str]) -> None:
    """:param known: what the target exports.

    :raises Refusal: ``module-link-failed``
    """
    for symbol in module.symbols[1:]:
        if symbol.is_undefined and not _PENDING.match(symbol.name) and symbol.name not in known:
            raise Refusal(MODULE_LINK_FAILED, module.name, f"symbol {symbol.name} is undefined")


def _livepatch_symbols(module: ObjectFile) -> tuple[tuple[Symbol, ...], Mapping[int, int]]:
    """The module's symbols after the change, and old index -> new index.  Equal livepatch symbols
    become one."""
    symbols: list[Symbol] = []
    moved_to: dict[int, int] = {}
    seen: dict[str, int] = {}
    for index, symbol in enumerate(module.symbols):
        match = _PENDING.match(symbol.name)
        if symbol.name.startswith(ENTRY):
            continue
        if match is None:
            moved_to[index] = len(symbols)
            symbols.append(symbol)
            continue
        name = match["symbol"]
        if name not in seen:
            seen[name] = len(symbols)
            symbols.append(replace(symbol, name=name, shndx=SHN_LIVEPATCH))
        moved_to[index] = seen[name]
    return tuple(symbols), moved_to


def _own_names(module: ObjectFile) -> Mapping[int, int]:
    """Index of an `ENTRY` symbol -> the function's symbol of its own name."""
    functions = {
        (symbol.shndx, symbol.value): index
        for index, symbol in module.symbols_of_type(STT_FUNC)
        if not symbol.name.startswith(ENTRY)
    }
    return {
        index: functions[symbol.shndx, symbol.value]
        for index, symbol in enumerate(module.symbols)
        if symbol.name.startswith(ENTRY)
    }


def _renamed(
    relocation: Relocation, own_names: Mapping[int, int], moved_to: Mapping[int, int]
) -> Relocation:
    return relocation._replace(symbol=moved_to[own_names.get(relocation.symbol, relocation.symbol)])
