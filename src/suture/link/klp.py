# SPDX-License-Identifier: GPL-2.0-or-later
"""Livepatch symbols and relocations: references that only the livepatch core can resolve
(``Documentation/livepatch/module-elf-format.rst``).

For the linker and modpost, such a reference is an ordinary relocation against a pending symbol: an
undefined one named ``<patched object>:.klp.sym.<objname>.<name>,<sympos>``, such as
``vmlinux:.klp.sym.vmlinux.vm_commit_limit,0``.  `finish` turns it into a ``SHN_LIVEPATCH`` symbol
and a relocation in ``.klp.rela.<objname>.<section>``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from suture.diff.output import ENTRY as ENTRY
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

_PENDING = re.compile(r"^(?P<patched>[^:]+):(?P<symbol>\.klp\.sym\.(?P<objname>[^.]+)\..+,\d+)$")


@dataclass(frozen=True, slots=True)
class GlobalName:
    """A global name for new code: `name` for symbol number `symbol` of the output object."""

    name: str
    symbol: int


def with_entries(output: OutputObject, first: int) -> tuple[ObjectFile, tuple[GlobalName, ...]]:
    """Give each replacing function a global name for the glue.

    :param first: number of the first name; names must be unique in the module.
    """
    return with_names(
        output, [f"{ENTRY}{number}" for number in range(first, first + len(output.replaced))]
    )


def with_names(
    output: OutputObject, names: Sequence[str]
) -> tuple[ObjectFile, tuple[GlobalName, ...]]:
    """Give each replacing function a global name of the caller's choice.

    :param names: one for each of `output.replaced`; they begin with `ENTRY`.
    """
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
    """Give each of the patch's callbacks a global name too.

    :param obj: `output.obj`, with other names added.
    :param first: number of the first name.
    """
    entries = tuple(
        GlobalName(f"{ENTRY}call_{number}", call.symbol)
        for number, call in enumerate(output.calls, first)
    )
    return _with(obj, entries), entries


def finish(module: ObjectFile) -> ObjectFile:
    """Return the module with livepatch symbols and relocations, and without `ENTRY` names.

    :raises Refusal: ``module-link-failed``: an `ENTRY` name that no function has
    """
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
                # The core resolves a module's symbols when the patched module is loaded, also those
                # of modules that it depends on (kernel/livepatch/core.c: klp_resolve_symbols()).
                # A call from new code for ext4 to jbd2's jbd2_journal_start() is relocated with
                # ext4: the core applies .klp.rela.jbd2.* only when it patches an object jbd2.
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
    """Parse the name of a pending symbol; return None for any other name."""
    match = _PENDING.match(name)
    return ExternalSymbol.parse(match["symbol"]) if match else None


def refuse_unresolved(module: ObjectFile, known: frozenset[str]) -> None:
    """Refuse a module with an undefined symbol that neither the loader nor the core can resolve.

    :param known: the target's exports.
    :raises Refusal: ``module-link-failed``
    """
    for symbol in module.symbols[1:]:
        if symbol.is_undefined and not _PENDING.match(symbol.name) and symbol.name not in known:
            raise Refusal(MODULE_LINK_FAILED, module.name, f"symbol {symbol.name} is undefined")


def _livepatch_symbols(module: ObjectFile) -> tuple[tuple[Symbol, ...], Mapping[int, int]]:
    """Return the module's symbols after the change, and old index -> new index.

    Equal livepatch symbols become one, as where two objects of the module both call
    ``vm_commit_limit()``.
    """
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
    """Return the index of each `ENTRY` symbol -> that of the function's own symbol."""
    functions = {
        (symbol.shndx, symbol.value): index
        for index, symbol in module.symbols_of_type(STT_FUNC)
        if not symbol.name.startswith(ENTRY)
    }
    own: dict[int, int] = {}
    for index, symbol in enumerate(module.symbols):
        if symbol.name.startswith(ENTRY):
            function = functions.get((symbol.shndx, symbol.value))
            if function is None:
                raise Refusal(MODULE_LINK_FAILED, module.name, f"{symbol.name} is no function")
            own[index] = function
    return own


def _renamed(
    relocation: Relocation, own_names: Mapping[int, int], moved_to: Mapping[int, int]
) -> Relocation:
    return relocation._replace(symbol=moved_to[own_names.get(relocation.symbol, relocation.symbol)])
