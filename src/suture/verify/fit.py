# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a live patch module fits a target, whichever tool built the module.

Every replaced function has to be in the shipped object at its position and be traceable; every
symbol that the core resolves has to exist; every symbol that the module links against has to be
exported with the same CRC.  Only the proof of a build shows that the functions are the ones that
the author changed (`suture.verify.preimage`): it has the unpatched source.
"""

from __future__ import annotations

from dataclasses import dataclass

from suture.elf import reader
from suture.errors import SYMBOL_AMBIGUOUS, SYMBOL_NOT_FOUND, Refusal
from suture.kernel.release import Target
from suture.model import ExternalSymbol
from suture.module.inspect import (
    Inspection,
    inspect,
    refuse_other_release,
    refuse_unapplied,
)
from suture.verify.kernel import Kernel
from suture.verify.replaced import Replaceable
from suture.verify.shipped import Shipped


@dataclass(frozen=True, slots=True)
class FunctionPlace:
    """A replaced function, found in the target.

    :ivar sympos: the module's value.
    :ivar address: of the function, in the core kernel or in the laid-out module file.
    """

    objname: str
    function: str
    sympos: int
    address: int


@dataclass(frozen=True, slots=True)
class Fit:
    """The functions and symbols of a live patch module that fits a target.

    :ivar symbols: the symbols that the core resolves, each once.
    :ivar imports: the exported symbols that it links against.
    """

    name: str
    release: str
    functions: tuple[FunctionPlace, ...]
    symbols: tuple[ExternalSymbol, ...]
    imports: tuple[str, ...]


def verify_module(data: bytes, where: str, target: Target) -> Fit:
    """Check that a live patch module fits a target.

    :param data: the module's bytes.
    :param where: its name in messages.
    :raises Refusal: ``wrong-release``, ``not-a-live-patch``, ``relocations-unapplied``,
        ``function-not-in-kernel``, ``function-not-traceable``, ``init-function-changed``,
        ``symbol-not-found``, ``symbol-ambiguous``, and what reading the module raises
    """
    inspection = inspect(reader.read(data, where))
    refuse_other_release(inspection, target.release, where)
    refuse_unapplied(inspection, where)
    kernel = Kernel(target)
    functions = _functions(inspection, where, kernel)
    symbols = tuple(dict.fromkeys(reference.symbol for reference in inspection.references))
    for symbol in symbols:
        _refuse_missing(symbol, where, kernel.shipped(symbol.objname))
    for name in inspection.imports:
        if kernel.symvers.get(name) is None:
            raise Refusal(SYMBOL_NOT_FOUND, f"{where}: {name}", "is not exported by this kernel")
    return Fit(inspection.patch.name, target.release, functions, symbols, inspection.imports)


def _functions(inspection: Inspection, where: str, kernel: Kernel) -> tuple[FunctionPlace, ...]:
    replaceable = Replaceable(kernel.shipped, kernel.types_of)
    places = []
    for patched in inspection.patch.objects:
        for function in patched.functions:
            address, _ = replaceable.locate(
                patched.name, function.old_name, function.sympos, lambda name: f"{where}: {name}"
            )
            places.append(FunctionPlace(patched.name, function.old_name, function.sympos, address))
    return tuple(places)


def _refuse_missing(symbol: ExternalSymbol, where: str, shipped: Shipped) -> None:
    """Refuse a symbol that the core would not find (``klp_find_object_symbol()``)."""
    count = len(shipped.addresses(symbol.name))
    place = f"{where}: {symbol.name}"
    if not count or symbol.sympos > count:
        found = f"{shipped.objname} has {count} symbols of that name, not {symbol.sympos or 1}"
        raise Refusal(SYMBOL_NOT_FOUND, place, found)
    if not symbol.sympos and count > 1:
        found = f"{count} symbols of that name are in {shipped.objname}"
        raise Refusal(SYMBOL_AMBIGUOUS, place, found)
